package provider_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestDelta: blocks of a Volume are read and replaced, in process and over
// HTTP, in both formats and versions.
func TestDelta(t *testing.T) {
	t.Run("in process", func(t *testing.T) {
		p := open(t, t.TempDir(), provider.Options{})
		testDelta(t, p, p)
	})
	for _, x := range []struct{ format, version string }{{"json", "2"}, {"xml", "2"}, {"json", "1"}, {"xml", "1"}} {
		t.Run(x.format+x.version, func(t *testing.T) {
			t.Parallel()
			p := open(t, t.TempDir(), provider.Options{})
			testDelta(t, p, connect(t, p, x.format, x.version, server.Options{}, ""))
		})
	}
}

// connect serves a cloud and gives a client of it.
func connect(t *testing.T, p cimi.Provider, format, version string, o server.Options, token string) cimi.Provider {
	t.Helper()
	h, err := server.New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(t.Context(), srv.URL+"/cimi/"+version+"/cloudEntryPoint", client.Options{Format: format, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func testDelta(t *testing.T, p *provider.Provider, seen cimi.Provider) {
	ctx, sample := t.Context(), hosttest.NewSample(t, "appliance", 1)
	system := succeeded(t, p, sample, nil)
	volumes := list(t, seen, cimi.HrefOf(list(t, seen, collectionOf(t, seen).Systems.Href)[0].(*cimi.System).Volumes))
	v := volumes[slices.IndexFunc(volumes, func(r cimi.Resource) bool { return r.(*cimi.Volume).ExtraString(cimi.OVFID) == "disk1" })].(*cimi.Volume)
	blocks, delta, prove := v.Operation(cimi.RelBlocks), v.Operation(cimi.RelDelta), v.Operation(cimi.RelProve)
	if blocks == nil || delta == nil || prove == nil {
		t.Fatalf("the volume offers %+v", v.Operations)
	}
	want := bytes.Clone(sample.Disks["disk1"])
	checkSums(t, seen, blocks.Href, want)
	runs := []cimi.PageRun{{First: 0, Count: 2}, {First: 256, Count: 1}, {First: hosttest.DiskSize / cimi.PageUnit, Count: 1}}
	if got := fetch(t, seen, blocks.Href+"/data/"+cimi.EncodePages(runs)); !bytes.Equal(got, slices.Concat(want[:8192], want[1<<20:1<<20+4096], want[hosttest.DiskSize/4096*4096:])) {
		t.Error("the pages are others")
	}
	for _, bad := range []string{"/data/*", "/data/" + cimi.EncodePages([]cimi.PageRun{{First: 0, Count: 513}}), "/data/" + cimi.EncodePages([]cimi.PageRun{{First: 768, Count: 2}})} {
		if _, err := seen.Open(ctx, blocks.Href+bad); cimi.StatusOf(err) != 400 {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, bad := range []string{"/sums/512", "/sums/", "/sums/1048577", "/other/1", "/sums/4096/1"} {
		if _, err := seen.Open(ctx, blocks.Href+bad); !cimi.IsNotFound(err) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := seen.Invoke(ctx, v.ID, &cimi.Action{Action: cimi.RelBlocks}); cimi.StatusOf(err) != 405 {
		t.Errorf("POST of what is read: %v", err)
	}
	send := func(size int64, b ...cimi.DeltaBlock) error {
		a := &cimi.Action{Action: cimi.RelDelta}
		a.SetExtra(cimi.Delta, cimi.EncodeDelta(size, b))
		acc, err := seen.Invoke(ctx, delta.Href, a)
		if err == nil && !acc.Done {
			t.Error("a delta is answered before it is written")
		}
		return err
	}
	page := func(off int64, v byte) cimi.DeltaBlock {
		b := cimi.DeltaBlock{Offset: off, Length: cimi.PageUnit, Data: bytes.Repeat([]byte{v}, cimi.PageUnit)}
		copy(want[off:], b.Data)
		return b
	}
	if err := send(hosttest.DiskSize*2, cimi.DeltaBlock{Length: cimi.PageUnit}); !cimi.IsConflict(err) {
		t.Errorf("a delta of a larger disk: %v", err)
	}
	a := &cimi.Action{Action: cimi.RelDelta}
	a.SetExtra(cimi.Delta, "bm90IGEgZGVsdGE=")
	if _, err := seen.Invoke(ctx, delta.Href, a); cimi.StatusOf(err) != 400 {
		t.Errorf("no delta: %v", err)
	}
	if _, err := seen.Invoke(ctx, delta.Href, &cimi.Action{Action: cimi.RelDelta}); cimi.StatusOf(err) != 400 {
		t.Errorf("a delta of nothing: %v", err)
	}
	large := []cimi.DeltaBlock{{Offset: 0, Length: 1 << 20, Data: make([]byte, 1<<20)}, {Offset: 1 << 20, Length: 1 << 20, Data: make([]byte, 1<<20)}, {Offset: 2 << 20, Length: 4096}}
	if err := send(hosttest.DiskSize, large...); cimi.StatusOf(err) != 400 {
		t.Errorf("a delta larger than allowed: %v", err)
	}
	if v := get[*cimi.Volume](t, seen, v.ID); v.ExtraValue(cimi.ContentDigest) == nil {
		t.Error("what was refused made the volume unproved")
	}
	first, second := page(8192, 5), page(2<<20, 6)
	if err := send(hosttest.DiskSize, first); err != nil {
		t.Fatal(err)
	}
	if v := get[*cimi.Volume](t, seen, v.ID); v.ExtraValue(cimi.ContentDigest) != nil {
		t.Error("an unproved volume shows a digest")
	}
	for _, rel := range []string{cimi.ActionExport, cimi.RelExportLive} {
		acc, err := seen.Invoke(ctx, system, &cimi.Action{Action: rel})
		if err != nil {
			t.Fatal(err)
		}
		if j := wait(t, seen, acc.Job); j.State != cimi.JobFailed || !strings.Contains(j.StatusMessage, "not proved") {
			t.Errorf("%s of an unproved volume: %s %s", rel, j.State, j.StatusMessage)
		}
	}
	digest := func() disk.Digest {
		d, err := disk.ContentDigest(ctx, raw.New(bytes.NewReader(want), int64(len(want))), int64(len(want)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	prove1 := func(value any) (*cimi.Job, error) {
		a := &cimi.Action{Action: cimi.RelProve}
		a.SetExtra(cimi.ContentDigest, value)
		acc, err := seen.Invoke(ctx, prove.Href, a)
		if err != nil {
			return nil, err
		}
		return wait(t, seen, acc.Job), nil
	}
	whole := map[string]any{"digest": digest().String(), "size": hosttest.DiskSize}
	for name, bad := range map[string]any{"nothing": nil, "text": "abc", "no size": map[string]any{"digest": digest().String()}, "no digest": map[string]any{"size": 5},
		"a size below": map[string]any{"digest": digest().String(), "size": -5}, "a short digest": map[string]any{"digest": "ab", "size": 512}} {
		if _, err := prove1(bad); cimi.StatusOf(err) != 400 {
			t.Errorf("prove %s: %v", name, err)
		}
	}
	if j, err := prove1(whole); err != nil || j.State != cimi.JobFailed {
		t.Errorf("half of the delta was proved: %+v: %v", j, err)
	} else if class := (&cimi.JobError{Job: j}).ExitClass(); class != 4 {
		t.Errorf("another content is of class %d: %s", class, j.StatusMessage)
	}
	for range 2 {
		if err := send(hosttest.DiskSize, first, second); err != nil {
			t.Fatal(err)
		}
	}
	checkSums(t, seen, blocks.Href, want)
	if j, err := prove1(whole); err != nil || j.State != cimi.JobSuccess {
		t.Fatalf("%+v: %v", j, err)
	}
	got, _ := get[*cimi.Volume](t, seen, v.ID).ExtraValue(cimi.ContentDigest).(map[string]any)
	if got["digest"] != digest().String() {
		t.Errorf("proved it shows %v, want %s", got, digest())
	}
	export(t, seen, system)
}

func collectionOf(t *testing.T, p cimi.Provider) *cimi.CloudEntryPoint {
	t.Helper()
	cep, err := p.EntryPoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cep
}

// checkSums compares the sums that a cloud gives with those of a content.
func checkSums(t *testing.T, p cimi.Provider, href string, content []byte) {
	t.Helper()
	for unit, length := range map[int]int{cimi.BlockUnit: cimi.BlockSumLen, cimi.PageUnit: cimi.PageSumLen} {
		var want []byte
		for off := 0; off < len(content); off += unit {
			b := make([]byte, unit)
			copy(b, content[off:])
			sum := sha256.Sum256(b)
			want = append(want, sum[:length]...)
		}
		if got := fetch(t, p, href+"/sums/"+strconv.Itoa(unit)); !bytes.Equal(got, want) {
			t.Errorf("the sums of %d bytes are others", unit)
		}
	}
}

// TestDeltaRoles: a reader reads no disk and changes none.
func TestDeltaRoles(t *testing.T) {
	p := open(t, t.TempDir(), provider.Options{})
	succeeded(t, p, hosttest.NewSample(t, "appliance", 1), nil)
	id := list(t, p, "volumes")[0].Base().ID
	users := server.Options{Users: []server.User{{Name: "r", Token: "r", Role: server.Reader}, {Name: "o", Token: "o", Role: server.Operator}}}
	for role, want := range map[string]int{"r": 403, "o": 0} {
		c := connect(t, p, "json", "2", users, role)
		content, err := c.Open(t.Context(), id+"/blocks/sums/4096")
		if cimi.StatusOf(err) != want {
			t.Errorf("%s reads sums: %v", role, err)
		}
		if err == nil {
			content.Close()
		}
		a := &cimi.Action{Action: cimi.RelDelta}
		a.SetExtra(cimi.Delta, cimi.EncodeDelta(4096, []cimi.DeltaBlock{{Length: 4096}}))
		if _, err := c.Invoke(t.Context(), id, a); cimi.StatusOf(err) != want {
			t.Errorf("%s sends a delta: %v", role, err)
		}
	}
}

// TestExportLive: the snapshot of an export lasts as long as the export does,
// over a restart, and no longer.
func TestExportLive(t *testing.T) {
	dir, sample := t.TempDir(), hosttest.NewSample(t, "appliance", 1)
	p := open(t, dir, provider.Options{})
	id := succeeded(t, p, sample, nil)
	m := get[*cimi.ResourceMetadata](t, p, "resourceMetadata/System")
	if m.Capability(cimi.CapabilityLiveExport) != true {
		t.Errorf("the metadata says %v", m.Capability(cimi.CapabilityLiveExport))
	}
	if !slices.ContainsFunc(m.Actions, func(a cimi.ActionMetadata) bool { return a.URI == cimi.RelExportLive && a.Method == "POST" }) ||
		!slices.ContainsFunc(get[*cimi.ResourceMetadata](t, p, "resourceMetadata/Volume").Actions, func(a cimi.ActionMetadata) bool { return a.URI == cimi.RelBlocks && a.Method == "GET" }) {
		t.Error("the metadata lacks an action")
	}
	acc, err := p.Invoke(t.Context(), id, &cimi.Action{Action: cimi.RelExportLive, Format: "application/ovf"})
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	archive := fetch(t, p, acc.Location)
	snapshots := func() int {
		entries, err := os.ReadDir(filepath.Join(dir, "snapshots"))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	a := &cimi.Action{Action: cimi.RelDelta}
	a.SetExtra(cimi.Delta, cimi.EncodeDelta(4096, []cimi.DeltaBlock{{Length: 4096}}))
	for _, v := range list(t, p, "volumes") {
		if _, err := p.Invoke(t.Context(), v.Base().ID, a); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, dir, provider.Options{})
	if n := snapshots(); n != 1 {
		t.Errorf("%d snapshots after a restart", n)
	}
	if !bytes.Equal(fetch(t, p, acc.Location), archive) {
		t.Error("after a restart the export is another one")
	}
	c, err := p.Open(t.Context(), acc.Location)
	if err != nil {
		t.Fatal(err)
	}
	forget := &cimi.Action{Action: cimi.RelForget}
	forget.Properties = map[string]string{cimi.ExportLocation: "http://cloud/" + acc.Location}
	for range 2 {
		if _, err := p.Invoke(t.Context(), "systems", forget); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size())); err != nil || !bytes.Equal(b, archive) {
		t.Errorf("reading on: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := snapshots(); n != 0 {
		t.Errorf("%d snapshots are left", n)
	}
	// One whose process died before it was frozen is nobody's.
	if err := os.MkdirAll(filepath.Join(dir, "snapshots", "lost"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, dir, provider.Options{})
	if n := snapshots(); n != 0 {
		t.Errorf("%d snapshots are left of another process", n)
	}
	if _, err := p.Open(context.Background(), acc.Location); !cimi.IsNotFound(err) {
		t.Errorf("an export that was deleted: %v", err)
	}
}

// TestForgetWhileExported: an export that is forgotten while it is being prepared
// is not there afterwards, nor its snapshot.
func TestForgetWhileExported(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	dir := t.TempDir()
	p := open(t, dir, provider.Options{})
	id := succeeded(t, p, hosttest.NewSample(t, "appliance", 1), nil)
	for range 10 {
		acc, err := p.Invoke(t.Context(), id, &cimi.Action{Action: cimi.RelExportLive})
		if err != nil {
			t.Fatal(err)
		}
		forget := &cimi.Action{Action: cimi.RelForget}
		forget.Properties = map[string]string{cimi.ExportLocation: acc.Location}
		if _, err := p.Invoke(t.Context(), "systems", forget); err != nil {
			t.Fatal(err)
		}
		wait(t, p, acc.Job) // it may have ended well just before
		if c, err := p.Open(t.Context(), acc.Location); !cimi.IsNotFound(err) {
			t.Errorf("it is there: %v", err)
			if err == nil {
				c.Close()
			}
		}
		if entries, err := os.ReadDir(filepath.Join(dir, "snapshots")); err != nil && !os.IsNotExist(err) || len(entries) > 0 {
			t.Errorf("%d snapshots are left: %v", len(entries), err)
		}
	}
}
