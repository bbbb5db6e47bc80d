package vsphere_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestAttested: where a manifest has SHA-1, the vCenter's own digest of what
// has arrived is compared with it; where it tells none, ours is. A wrong byte,
// in the package or on its way, is never imported and leaves nothing.
func TestAttested(t *testing.T) {
	ovftest.Slow(t)
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	sample := hosttest.NewSample(t, "appliance", 1)
	sample.Algorithm = manifest.SHA1
	right := sample.OVA(t)
	// In the grain directory, which a decoder of a stream passes by.
	wrong := append([]byte(nil), right...)
	offset, size := sample.File(t, "disk2.vmdk")
	wrong[offset+size-2048+100] ^= 1

	entry := func(f func(*types.HttpNfcLeaseManifestEntry) bool) func() { return func() { v.Manifest(f) } }
	for name, c := range map[string]struct {
		begin  func()
		asked  int    // times, of a package that is right
		reason string // of the error where a right package is refused
	}{
		"attested":        {asked: 1 + 2},
		"tells nothing":   {begin: entry(func(*types.HttpNfcLeaseManifestEntry) bool { return false }), asked: 1 + 2},
		"no SHA-1":        {begin: entry(func(e *types.HttpNfcLeaseManifestEntry) bool { e.Sha1 = ""; return true }), asked: 1 + 2},
		"of another size": {begin: entry(func(e *types.HttpNfcLeaseManifestEntry) bool { e.Size++; e.Sha1 = strings.Repeat("0", 40); return true }), asked: 1 + 2},
		"of another file": {begin: entry(func(e *types.HttpNfcLeaseManifestEntry) bool { e.Key += "0"; return true }), asked: 1 + 2},
		"denied":          {begin: func() { v.Deny("HttpNfcLeaseGetManifest", "VApp.Import") }, asked: 1},
		"changed on its way": {begin: entry(func(e *types.HttpNfcLeaseManifestEntry) bool { e.Sha1 = strings.Repeat("0", 40); return true }),
			reason: "what arrived"},
	} {
		v.Manifest(nil)
		v.Deny("HttpNfcLeaseGetManifest", "")
		if c.begin != nil {
			c.begin()
		}
		before := v.Calls("HttpNfcLeaseGetManifest")
		s, err := h.Import(context.Background(), hosttest.Package(t, right), host.ImportOptions{})
		asked := v.Calls("HttpNfcLeaseGetManifest") - before
		var integrity *ovf.IntegrityError
		switch {
		case c.reason != "":
			if !errors.As(err, &integrity) || !strings.Contains(integrity.Reason, c.reason) || !strings.Contains(err.Error(), integrity.Expected) || integrity.Actual != strings.Repeat("0", 40) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case asked != c.asked:
			t.Errorf("%s: the digests were asked for %d times, want %d", name, asked, c.asked)
		default:
			for d := range s.AllDisks() {
				if want := sample.Digests[d.OVFID]; d.ContentDigest != want {
					t.Errorf("%s: %s: content digest %q, want %q", name, d.OVFID, d.ContentDigest, want)
				}
			}
			if err := h.Delete(context.Background(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
		_, err = h.Import(context.Background(), hosttest.Package(t, wrong), host.ImportOptions{})
		if !errors.As(err, &integrity) || c.reason == "" && integrity.File != "disk2.vmdk" || integrity.Actual == "" || integrity.Actual == integrity.Expected {
			t.Errorf("%s: with a wrong byte: %v", name, err)
		}
		if left := v.Inventory(); len(left) != 0 || len(v.OpenLeases()) != 0 {
			t.Errorf("%s: left are %v, %d leases are open", name, left, len(v.OpenLeases()))
		}
	}
}
