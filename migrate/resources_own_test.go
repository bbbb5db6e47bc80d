package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/providertest/bare"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// vault adds a machine that boots from a disk of its own to a System, and gives
// its id and that disk's content digest; volume is that of a Volume of it, too.
func (c *cloud) vault(system string, volumes ...string) (id, digest string) {
	c.t.Helper()
	content := make([]byte, 2<<20)
	random := rand.NewChaCha8([32]byte{byte(len(volumes))})
	random.Read(content[64<<10 : 192<<10])
	random.Read(content[1<<20 : 1<<20+512])
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "own.raw", time.Time{}, bytes.NewReader(content))
	}))
	defer web.Close()
	t := &cimi.MachineTemplate{MachineImage: cimi.RefBy(&cimi.MachineImage{ImageLocation: web.URL + "/own.raw"}),
		MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(1), Memory: cimi.Int(64 << 10)})}
	for _, name := range volumes {
		v := &cimi.VolumeTemplate{Common: cimi.Common{Name: name}, VolumeConfig: cimi.RefBy(&cimi.VolumeConfiguration{Capacity: cimi.Int(1000)})}
		t.VolumeTemplates = append(t.VolumeTemplates, cimi.TemplateVolumeTemplate{VolumeTemplate: cimi.RefBy(v)})
	}
	id = c.add(system+"/machines", &cimi.MachineCreate{Common: cimi.Common{Name: "vault"}, MachineTemplate: cimi.RefBy(t)})
	d := disk.NewDigester(int64(len(content)), nil)
	if err := d.WriteRange(0, content); err != nil {
		c.t.Fatal(err)
	}
	return id, d.Sum().String()
}

// empty makes a System without anything in it.
func (c *cloud) empty(name string) string {
	c.t.Helper()
	return c.add("systems", &cimi.SystemCreate{Common: cimi.Common{Name: name}, SystemTemplate: cimi.RefBy(&cimi.SystemTemplate{})})
}

// ownDisks are those of the machine vault, wherever it is.
func (c *cloud) ownDisks() (names []string) {
	c.t.Helper()
	for _, r := range c.list("machines") {
		if strings.HasSuffix(r.Base().Name, "vault") {
			for _, d := range c.list(r.Base().ID + "/disks") {
				names = append(names, d.Base().Name)
			}
		}
	}
	return names
}

// TestResourcesOwnDisk: a machine's own disk, which is no Volume, comes along in
// an image of the machine, and is the machine's own again, beside its Volumes.
func TestResourcesOwnDisk(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, c := range map[string]struct {
		version cimi.Version
		as      bare.Provider
		volumes []string
		among   int // disks of other machines
	}{
		"alone":                 {cimi.V2, bare.Provider{}, nil, 0},
		"alone, 1.x":            {cimi.V1, bare.Provider{}, nil, 0},
		"with a Volume":         {cimi.V2, bare.Provider{}, []string{"ledger"}, 3},
		"with a Volume, 1.x":    {cimi.V1, bare.Provider{}, []string{"ledger"}, 0},
		"parts":                 {cimi.V2, bare.Provider{NoSystems: true}, []string{"ledger"}, 0},
		"parts, 1.x":            {cimi.V1, bare.Provider{NoSystems: true}, []string{"ledger"}, 3},
		"nothing by value":      {cimi.V2, bare.Provider{NoSystems: true, NoValues: true}, []string{"ledger"}, 0},
		"nothing by value, 1.x": {cimi.V1, bare.Provider{NoSystems: true, NoValues: true}, []string{"ledger"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			var system string
			if c.among > 0 {
				system = a.load(hosttest.NewSample(t, "shop", 1))
			} else {
				system = a.empty("shop")
			}
			_, digest := a.vault(system, c.volumes...)
			if c.as.NoValues {
				b.add("machineConfigs", &cimi.MachineConfiguration{Common: cimi.Common{Name: "any"}, CPU: cimi.Int(2), Memory: cimi.Int(1 << 20)})
			}
			src, dst := a.bared(c.version, asBare), b.bared(c.version, func(p cimi.Provider) cimi.Provider { as := c.as; as.Provider = p; return as })
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
			if err != nil {
				t.Fatal(err)
			}
			checkOwn(t, rep, digest, c.among+1+len(c.volumes))
			if got := b.ownDisks(); len(got) != 1 {
				t.Errorf("the machine has the disks %v of its own", got)
			}
			if got := len(b.names("volumes")); got != c.among+len(c.volumes) {
				t.Errorf("%d Volumes", got)
			}
			checkNoImages(t, a, b)
		})
	}
}

// checkOwn holds what a verified move of a vault beside the sample must show.
func checkOwn(t *testing.T, rep *migrate.Report, digest string, disks int) {
	t.Helper()
	if rep.Via != "resources" || !rep.Verified || len(rep.Disks) != disks {
		t.Errorf("via %s, verified %v, %d disks, want %d: %+v", rep.Via, rep.Verified, len(rep.Disks), disks, rep.Findings)
	}
	found := false
	for _, d := range rep.Disks {
		if !d.Verified || d.SourceDigest == "" || d.SourceDigest != d.DestinationDigest {
			t.Errorf("disk %+v", d)
		}
		found = found || d.SourceDigest == digest
	}
	if !found {
		t.Errorf("no disk has the digest %s: %+v", digest, rep.Disks)
	}
	for _, c := range rep.Configuration {
		if !c.Equal {
			t.Errorf("%s", c)
		}
	}
}

// TestResourcesOwnDiskBecomesVolume: an image of a machine tells the content of
// one disk, the one that it boots from. Others become Volumes, whatever they
// hold, and so does that one where the destination has no images of machines.
func TestResourcesOwnDiskBecomesVolume(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, c := range map[string]struct {
		boots, noImages bool
		own             int // at the destination
	}{
		"second disk":              {boots: true, own: 1},
		"boots from a Volume":      {own: 0},
		"no images of machines":    {boots: true, noImages: true, own: 0},
		"no images, and no second": {noImages: true, own: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			system, digest, disks := a.load(hosttest.NewSample(t, "shop", 1)), "", 4
			machine := a.list(system + "/machines")[0].Base().ID
			if c.boots {
				machine, digest = a.vault(system, "ledger")
				disks += 2
			}
			a.add(machine+"/disks", &cimi.Disk{Common: cimi.Common{Name: "spare"}, Capacity: cimi.Int(1500)})
			src := a.bared(cimi.V2, asBare)
			dst := b.bared(cimi.V2, func(p cimi.Provider) cimi.Provider {
				if c.noImages {
					return withoutMachineImages{bare.Provider{Provider: p}}
				}
				return asBare(p)
			})
			plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(plan, migrate.RuleOwnDisk, "machine"); f == nil || f.Severity != ovf.Warning {
				t.Errorf("finding %+v", f)
			}
			rep, err := newEngine(t, src, dst).Start(t.Context(), plan)
			if err != nil {
				t.Fatal(err)
			}
			if digest == "" {
				d := disk.NewDigester(1500_000+(512-1500_000%512)%512, nil)
				digest = d.Sum().String()
			}
			checkOwn(t, rep, digest, disks)
			if got := b.ownDisks(); len(got) != c.own || len(b.names("volumes")) != disks-c.own {
				t.Errorf("own disks %v, volumes %v", got, b.names("volumes"))
			}
			checkNoImages(t, a, b)
		})
	}
}

// withoutMachineImages makes no machines from images of machines.
type withoutMachineImages struct{ bare.Provider }

func (w withoutMachineImages) EntryPoint(ctx context.Context) (*cimi.CloudEntryPoint, error) {
	cep, err := w.Provider.EntryPoint(ctx)
	if err == nil {
		cep.MachineImages = nil
	}
	return cep, err
}

// uncapturing makes no images of machines: it refuses them, and says so.
type uncapturing struct{ *crooked }

func newUncapturing(p cimi.Provider) cimi.Provider {
	f := &crooked{Provider: bare.Provider{Provider: p}}
	hide := func(r cimi.Resource) {
		switch r := r.(type) {
		case *cimi.Machine:
			r.Operations = slices.DeleteFunc(r.Operations, func(o cimi.Operation) bool { return o.Rel == cimi.ActionCapture })
		case *cimi.ResourceMetadata:
			r.Actions = slices.DeleteFunc(r.Actions, func(a cimi.ActionMetadata) bool { return a.URI == cimi.ActionCapture })
		}
	}
	f.get = func(ctx context.Context, id string) (cimi.Resource, error) {
		r, err := f.Provider.Get(ctx, id, cimi.ReadOptions{})
		if err == nil {
			hide(r)
		}
		return r, err
	}
	f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
		if _, ok := r.(*cimi.MachineImage); ok {
			return nil, cimi.Errorf(405, "no images of machines")
		}
		return nil, nil
	}
	return uncapturing{f}
}

func (u uncapturing) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	c, err := u.crooked.List(ctx, id, o)
	if err == nil {
		for _, r := range c.Items {
			if m, ok := r.(*cimi.ResourceMetadata); ok {
				m.Actions = slices.DeleteFunc(m.Actions, func(a cimi.ActionMetadata) bool { return a.URI == cimi.ActionCapture })
			}
		}
	}
	return c, err
}

func (u uncapturing) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Action == cimi.ActionCapture {
		return nil, cimi.Errorf(405, "no images of machines")
	}
	return u.crooked.Invoke(ctx, id, a)
}

// TestResourcesOwnDiskUncaptured: where the source makes no image of the
// machine, the plan refuses and says what helps: to leave the disk, or a
// snapshot, which is read instead and told of.
func TestResourcesOwnDiskUncaptured(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	machine, digest := a.vault(a.empty("shop"))
	src, dst := a.bared(cimi.V2, newUncapturing), b.bared(cimi.V2, asBare)
	o := migrate.Options{Source: src, Destination: dst, System: "shop"}
	plan, err := migrate.NewPlan(t.Context(), o)
	wantClass(t, err, migrate.ClassRefused, migrate.Source)
	if f := finding(plan, migrate.RuleLocalDisk, "machine vault"); f == nil || !strings.Contains(f.Message, "capture") || !strings.Contains(f.Hint, "Volume") {
		t.Errorf("finding %+v", f)
	}
	o.Allow = []string{migrate.RuleLocalDisk}
	if plan, err = migrate.NewPlan(t.Context(), o); err != nil || len(plan.Disks) != 0 {
		t.Errorf("allowed: %v, disks %+v", err, plan.Disks)
	}
	snapshot := a.add("machineImages", &cimi.MachineImage{Common: cimi.Common{Name: "last night"}, Type: "SNAPSHOT", ImageLocation: machine})
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, SourceAfter: migrate.SourceDelete})
	if err != nil {
		t.Fatal(err)
	}
	checkOwn(t, rep, digest, 1)
	if !slices.ContainsFunc(rep.Findings, func(f ovf.Finding) bool { return f.ID == migrate.RuleOldImage }) {
		t.Errorf("nothing tells of the snapshot: %+v", rep.Findings)
	}
	if len(a.systems()) != 1 {
		t.Error("what was written since the snapshot was deleted")
	}
	if got := a.list("machineImages"); len(got) != 1 || got[0].Base().ID != snapshot {
		t.Errorf("the source's images are %v", got)
	}
	if got := append(b.images(), a.names("volumeImages")...); len(got) > 0 {
		t.Errorf("images are left: %v", got)
	}
}

// TestResourcesOwnDiskByOperation: a cloud that makes images of machines by
// their operation alone is asked by that.
func TestResourcesOwnDiskByOperation(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	_, digest := a.vault(a.empty("shop"))
	src := a.bared(cimi.V2, func(p cimi.Provider) cimi.Provider {
		f := &crooked{Provider: bare.Provider{Provider: p}}
		f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
			if _, ok := r.(*cimi.MachineImage); ok {
				return nil, cimi.Errorf(405, "its entries are made by capture")
			}
			return nil, nil
		}
		return f
	})
	dst := b.bared(cimi.V2, asBare)
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
	if err != nil {
		t.Fatal(err)
	}
	checkOwn(t, rep, digest, 1)
	checkNoImages(t, a, b)
}

// TestResourcesOwnDiskFails: whatever goes wrong with a machine's own disk, both
// clouds are as they were, without an image of the machine.
func TestResourcesOwnDiskFails(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	machineImage := func(r cimi.Resource, remote bool) bool {
		i, ok := r.(*cimi.MachineImage)
		return ok && strings.HasPrefix(i.ImageLocation, "http") == remote
	}
	refusing := func(remote bool, status int, why string) func(f *crooked) {
		return func(f *crooked) {
			f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
				if machineImage(r, remote) {
					return nil, cimi.Errorf(status, "%s", why)
				}
				return nil, nil
			}
		}
	}
	reading := func(read func(f *crooked, c cimi.Content, p []byte, off int64, n int, err error) (int, error)) func(f *crooked) {
		return func(f *crooked) {
			f.open = func(ctx context.Context, href string) (cimi.Content, error) {
				c, err := f.Provider.Open(ctx, href)
				if err != nil || !strings.Contains(href, "machineImages/") {
					return c, err
				}
				return altered{Content: c, size: c.Size(), read: func(p []byte, off int64, n int, err error) (int, error) {
					return read(f, c, p, off, n, err)
				}}, nil
			}
		}
	}
	for name, c := range map[string]struct {
		src, dst  func(f *crooked)
		noSystems bool
		class     migrate.Class
		side      migrate.Side
		want      string
	}{
		"capture fails": {class: migrate.ClassRemote, side: migrate.Source, want: "no room for copies",
			src: refusing(false, 500, "no room for copies")},
		"the image repeats the machine": {class: migrate.ClassRefused, side: migrate.Source, want: "imageLocation",
			src: func(f *crooked) {
				f.get = func(ctx context.Context, id string) (cimi.Resource, error) {
					r, err := f.Provider.Get(ctx, id, cimi.ReadOptions{})
					if i, ok := r.(*cimi.MachineImage); ok {
						i.ImageLocation = ""
					}
					return r, err
				}
			}},
		"the image vanishes half way": {class: migrate.ClassTransfer, side: migrate.Source, want: "404 Not Found",
			src: reading(func(f *crooked, c cimi.Content, _ []byte, off int64, n int, err error) (int, error) {
				if off > 512<<10 && off < c.Size()-4096 {
					f.open = func(ctx context.Context, href string) (cimi.Content, error) {
						if strings.Contains(href, "machineImages/") {
							return nil, cimi.Errorf(404, "no such image")
						}
						return f.Provider.Open(ctx, href)
					}
					return 0, errors.New("the storage is gone")
				}
				return n, err
			})},
		"the image is too short": {class: migrate.ClassIntegrity, side: migrate.Source, want: "not whole",
			src: func(f *crooked) {
				f.open = func(ctx context.Context, href string) (cimi.Content, error) {
					c, err := f.Provider.Open(ctx, href)
					if err != nil || !strings.Contains(href, "machineImages/") {
						return c, err
					}
					return altered{Content: c, size: 512 << 10}, nil
				}
			}},
		"the destination takes no image": {class: migrate.ClassRemote, side: migrate.Destination, want: "no room for images",
			dst: refusing(true, 500, "no room for images")},
		"the destination ignores the image": {noSystems: true, class: migrate.ClassIntegrity, side: migrate.Destination, want: "imageLocation",
			dst: func(f *crooked) {
				f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
					if m, ok := r.(*cimi.MachineCreate); ok {
						m.MachineTemplate.Value.MachineImage = nil
					}
					return nil, nil
				}
			}},
		"a bit is wrong at the destination": {class: migrate.ClassIntegrity, side: migrate.Destination, want: "content digest",
			dst: reading(func(_ *crooked, _ cimi.Content, p []byte, off int64, n int, err error) (int, error) {
				if at := int64(100 << 10); off <= at && off+int64(n) > at {
					p[at-off] ^= 1
				}
				return n, err
			})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			a.vault(a.empty("shop"))
			with := func(change func(*crooked), noSystems bool) func(cimi.Provider) cimi.Provider {
				return func(p cimi.Provider) cimi.Provider {
					f := &crooked{Provider: bare.Provider{Provider: p, NoSystems: noSystems}}
					if change != nil {
						change(f)
					}
					return f
				}
			}
			src, dst := a.bared(cimi.V2, with(c.src, false)), b.bared(cimi.V2, with(c.dst, c.noSystems))
			e := newEngine(t, src, dst)
			rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
			wantClass(t, err, c.class, c.side)
			if err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if rep != nil && c.class == migrate.ClassTransfer {
				if _, err := e.Rollback(t.Context(), rep.Run); err != nil {
					t.Error(err)
				}
			}
			for _, collection := range []string{"systems", "machines", "volumes", "networks"} {
				if left := b.names(collection); len(left) > 0 {
					t.Errorf("%s at the destination: %v", collection, left)
				}
			}
			if got := a.names("machines"); len(got) != 1 || len(a.ownDisks()) != 1 {
				t.Errorf("the source holds %v", got)
			}
			checkNoImages(t, a, b)
		})
	}
}

// TestResourcesInOneGo: a source that gives the bytes of its images in one go
// only, without ranges, is read so, and the destination fetches them so. Of a
// package nothing can be read by itself then.
func TestResourcesInOneGo(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, volumes := range map[string][]string{"disks": nil, "package": {"ledger"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			_, digest := a.vault(a.empty("shop"), volumes...)
			src := a.bared(cimi.V2, func(p cimi.Provider) cimi.Provider {
				f := &crooked{Provider: bare.Provider{Provider: p}}
				f.open = func(ctx context.Context, href string) (cimi.Content, error) {
					c, err := f.Provider.Open(ctx, href)
					if err != nil {
						return nil, err
					}
					return unranged{c}, nil
				}
				return f
			})
			dst := b.bared(cimi.V2, asBare)
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
			if volumes != nil {
				wantClass(t, err, migrate.ClassRefused, migrate.Source)
				if len(b.systems()) > 0 {
					t.Errorf("the destination holds %v", b.systems())
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				checkOwn(t, rep, digest, 1)
			}
			checkNoImages(t, a, b)
		})
	}
}

type unranged struct{ cimi.Content }

func (unranged) Ranged() bool { return false }
