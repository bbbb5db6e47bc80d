package migrate_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/providertest/bare"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// crooked is a cloud without packages that does one thing otherwise.
type crooked struct {
	bare.Provider
	create func(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error)
	get    func(ctx context.Context, id string) (cimi.Resource, error)
	open   func(ctx context.Context, href string) (cimi.Content, error)
}

func (f *crooked) Create(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	if f.create != nil {
		if acc, err := f.create(ctx, collection, r); acc != nil || err != nil {
			return acc, err
		}
	}
	return f.Provider.Create(ctx, collection, r)
}

func (f *crooked) Get(ctx context.Context, id string, o cimi.ReadOptions) (cimi.Resource, error) {
	if f.get != nil {
		if r, err := f.get(ctx, id); r != nil || err != nil {
			return r, err
		}
	}
	return f.Provider.Get(ctx, id, o)
}

func (f *crooked) Open(ctx context.Context, href string) (cimi.Content, error) {
	if f.open != nil {
		return f.open(ctx, href)
	}
	return f.Provider.Open(ctx, href)
}

// altered is content of which something is different.
type altered struct {
	cimi.Content
	size int64
	read func(p []byte, off int64, n int, err error) (int, error)
}

func (a altered) Size() int64 { return a.size }

func (a altered) ReadAt(p []byte, off int64) (int, error) {
	if off >= a.size {
		return 0, io.EOF
	}
	n, err := a.Content.ReadAt(p[:min(int64(len(p)), a.size-off)], off)
	if a.read != nil {
		return a.read(p, off, n, err)
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// hasURL tells an image that is to be fetched from one of a Volume.
func hasURL(r cimi.Resource) bool {
	i, ok := r.(*cimi.VolumeImage)
	return ok && strings.HasPrefix(i.ImageLocation, "http")
}

// TestResourcesFail: whatever goes wrong on either side, it is said which side
// it was, and both clouds are as they were.
func TestResourcesFail(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, c := range map[string]struct {
		src, dst func(f *crooked)
		systems  bool // at the destination
		class    migrate.Class
		side     migrate.Side
		want     string
	}{
		"the source makes no images now": {systems: true, class: migrate.ClassRemote, side: migrate.Source, want: "out of snapshots",
			src: func(f *crooked) {
				n := 0
				f.create = func(_ context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
					if n++; n == 2 {
						return nil, cimi.Errorf(500, "out of snapshots")
					}
					return nil, nil
				}
			}},
		"the source refuses images": {systems: true, class: migrate.ClassRefused, side: migrate.Source, want: "volume is in use",
			src: func(f *crooked) {
				f.create = func(context.Context, string, cimi.Resource) (*cimi.Accepted, error) {
					return nil, cimi.Errorf(409, "volume is in use")
				}
			}},
		"the source's images have no bytes": {systems: true, class: migrate.ClassRefused, side: migrate.Source, want: "imageLocation",
			src: func(f *crooked) {
				f.get = func(ctx context.Context, id string) (cimi.Resource, error) {
					r, err := f.Provider.Get(ctx, id, cimi.ReadOptions{})
					if i, ok := r.(*cimi.VolumeImage); ok {
						i.ImageLocation = ""
					}
					return r, err
				}
			}},
		"the source's image is too short": {systems: true, class: migrate.ClassIntegrity, side: migrate.Source, want: "not whole",
			src: func(f *crooked) {
				f.open = func(ctx context.Context, href string) (cimi.Content, error) {
					c, err := f.Provider.Open(ctx, href)
					if err != nil {
						return nil, err
					}
					return altered{Content: c, size: 1 << 20}, nil
				}
			}},
		"the source's image is deleted half way": {systems: true, class: migrate.ClassTransfer, side: migrate.Source, want: "404 Not Found",
			src: func(f *crooked) {
				var gone atomic.Bool
				f.open = func(ctx context.Context, href string) (cimi.Content, error) {
					if gone.Load() {
						return nil, cimi.Errorf(404, "no such image")
					}
					c, err := f.Provider.Open(ctx, href)
					if err != nil {
						return nil, err
					}
					return altered{Content: c, size: c.Size(), read: func(_ []byte, off int64, n int, err error) (int, error) {
						if off > 1<<20 && off < c.Size()-4096 {
							gone.Store(true)
							return 0, errors.New("the storage is gone")
						}
						return n, err
					}}, nil
				}
			}},
		"the destination makes no images": {systems: true, class: migrate.ClassRemote, side: migrate.Destination, want: "no room for images",
			dst: func(f *crooked) {
				n := 0
				f.create = func(_ context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
					if n++; hasURL(r) && n == 2 {
						return nil, cimi.Errorf(500, "no room for images")
					}
					return nil, nil
				}
			}},
		"the destination ignores imageLocation": {systems: true, class: migrate.ClassIntegrity, side: migrate.Destination, want: "imageLocation",
			dst: ignoring},
		"the destination ignores imageLocation of parts": {class: migrate.ClassIntegrity, side: migrate.Destination, want: "imageLocation",
			dst: ignoring},
		"a part fails half way": {class: migrate.ClassRemote, side: migrate.Destination, want: "no host for it",
			dst: func(f *crooked) {
				n := 0
				f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
					if _, ok := r.(*cimi.MachineCreate); ok {
						if n++; n == 2 {
							return nil, cimi.Errorf(500, "no host for it")
						}
					}
					return nil, nil
				}
			}},
		"the System is refused": {systems: true, class: migrate.ClassRefused, side: migrate.Destination, want: "quota",
			dst: func(f *crooked) {
				f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
					if _, ok := r.(*cimi.SystemCreate); ok {
						return nil, cimi.Errorf(409, "beyond the quota")
					}
					return nil, nil
				}
			}},
		"the destination's disk is smaller": {class: migrate.ClassIntegrity, side: migrate.Destination, want: "capacity",
			dst: func(f *crooked) {
				f.get = func(ctx context.Context, id string) (cimi.Resource, error) {
					r, err := f.Provider.Get(ctx, id, cimi.ReadOptions{})
					if v, ok := r.(*cimi.Volume); ok {
						v.Capacity = cimi.Int(1000)
					}
					return r, err
				}
			}},
		"a bit is wrong at the destination": {systems: true, class: migrate.ClassIntegrity, side: migrate.Destination, want: "content digest",
			dst: func(f *crooked) {
				f.open = func(ctx context.Context, href string) (cimi.Content, error) {
					c, err := f.Provider.Open(ctx, href)
					if err != nil {
						return nil, err
					}
					return altered{Content: c, size: c.Size(), read: func(p []byte, off int64, n int, err error) (int, error) {
						if off <= 1<<20 && off+int64(n) > 1<<20 {
							p[1<<20-off] ^= 1
						}
						return n, err
					}}, nil
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			with := func(change func(*crooked), noSystems bool) func(cimi.Provider) cimi.Provider {
				return func(p cimi.Provider) cimi.Provider {
					f := &crooked{Provider: bare.Provider{Provider: p, NoSystems: noSystems}}
					if change != nil {
						change(f)
					}
					return f
				}
			}
			src, dst := a.bared(cimi.V2, with(c.src, false)), b.bared(cimi.V2, with(c.dst, !c.systems))
			e := newEngine(t, src, dst)
			rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
			wantClass(t, err, c.class, c.side)
			if err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			for _, collection := range []string{"systems", "machines", "volumes", "networks", "volumeImages"} {
				if left := b.names(collection); len(left) > 0 {
					t.Errorf("%s at the destination: %v", collection, left)
				}
			}
			if got := a.systems(); len(got) != 1 {
				t.Errorf("the source holds %v", got)
			}
			if rep != nil && c.class == migrate.ClassTransfer {
				if _, err := e.Rollback(t.Context(), rep.Run); err != nil {
					t.Error(err)
				}
			}
			checkNoImages(t, a, b)
		})
	}
}

// TestResourcesNameTaken: a System of the name that came to the destination while
// images were made there is not doubled, and stays as it is; what was made goes.
func TestResourcesNameTaken(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	var other string
	between := func(p cimi.Provider) cimi.Provider {
		f := &crooked{Provider: bare.Provider{Provider: p}}
		f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
			if hasURL(r) && other == "" {
				other = b.load(hosttest.NewSample(t, "shop", 2))
			}
			return nil, nil
		}
		return f
	}
	plainly := func(p cimi.Provider) cimi.Provider { return &crooked{Provider: bare.Provider{Provider: p}} }
	src, dst := a.bared(cimi.V2, plainly), b.bared(cimi.V2, between)
	_, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
	wantClass(t, err, migrate.ClassRefused, migrate.Destination)
	if !errors.Is(err, migrate.ErrNameTaken) {
		t.Errorf("got %v", err)
	}
	if got := b.systems(); len(got) != 1 {
		t.Errorf("the destination holds %v", got)
	}
	if _, err := b.p.Get(t.Context(), other, cimi.ReadOptions{}); err != nil {
		t.Errorf("the other System: %v", err)
	}
	checkNoImages(t, a, b)
}

// ignoring makes Volumes of a cloud that does not fetch their images.
func ignoring(f *crooked) {
	f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
		blank := func(t *cimi.Ref[cimi.VolumeTemplate]) { t.Value.VolumeImage = nil }
		switch r := r.(type) {
		case *cimi.VolumeCreate:
			blank(r.VolumeTemplate)
		case *cimi.SystemCreate:
			for _, d := range r.SystemTemplate.Value.ComponentDescriptors {
				if d.MachineTemplate == nil {
					continue
				}
				for _, v := range d.MachineTemplate.Value.VolumeTemplates {
					blank(v.VolumeTemplate)
				}
			}
		}
		return nil, nil
	}
}

// TestResourcesSlow: a destination that takes its time, and bytes that come
// slowly, are waited for as long as something moves.
func TestResourcesSlow(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src := a.bared(cimi.V2, func(p cimi.Provider) cimi.Provider {
		f := &crooked{Provider: bare.Provider{Provider: p}}
		f.open = func(ctx context.Context, href string) (cimi.Content, error) {
			c, err := f.Provider.Open(ctx, href)
			if err != nil {
				return nil, err
			}
			return altered{Content: c, size: c.Size(), read: func(_ []byte, _ int64, n int, err error) (int, error) {
				time.Sleep(20 * time.Millisecond)
				return n, err
			}}, nil
		}
		return f
	})
	dst := b.bared(cimi.V2, func(p cimi.Provider) cimi.Provider {
		f := &crooked{Provider: bare.Provider{Provider: p}}
		f.get = func(context.Context, string) (cimi.Resource, error) {
			time.Sleep(50 * time.Millisecond)
			return nil, nil
		}
		return f
	})
	e := newEngine(t, src, dst)
	e.StallTimeout = 3 * time.Second
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
}

// TestResourcesUnverifiable: where the destination gives nothing to read, the
// copy is kept and not called verified (AC-31).
func TestResourcesUnverifiable(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src := a.bared(cimi.V2, asBare)
	dst := b.bared(cimi.V2, func(p cimi.Provider) cimi.Provider {
		f := &crooked{Provider: bare.Provider{Provider: p}}
		f.create = func(_ context.Context, _ string, r cimi.Resource) (*cimi.Accepted, error) {
			if i, ok := r.(*cimi.VolumeImage); ok && !hasURL(i) {
				return nil, cimi.Errorf(405, "no snapshots of volumes")
			}
			return nil, nil
		}
		return f
	})
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
	wantClass(t, err, migrate.ClassUnverified, migrate.Destination)
	if rep == nil || rep.Verified || rep.State != string(journal.Done) || len(b.systems()) != 1 {
		t.Errorf("%+v; the destination holds %v", rep, b.systems())
	}
	checkNoImages(t, a, b)
}

// TestResourcesAnswerLost: what was made though the answer was lost is found by
// its mark and removed, and the resumed run makes everything once (AC-33).
func TestResourcesAnswerLost(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, lost := range []string{"VolumeImage", "MachineImage", "NetworkCreate", "VolumeCreate", "MachineCreate"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			s := hosttest.NewSample(t, "shop", 1)
			a, b := newCloud(t), newCloud(t)
			_, own := a.vault(a.load(s))
			src, dst := a.bared(cimi.V2, asBare), b.bared(cimi.V2, withoutSystems)
			deaf := deafTo{dst.Provider, lost, new(atomic.Int32)}
			if lost == "MachineImage" {
				deaf.n.Store(1) // there is one
			}
			dst.Provider = deaf
			e := newEngine(t, src, dst)
			rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
			wantClass(t, err, migrate.ClassTransfer, migrate.Destination)
			for _, collection := range []string{"machines", "volumes", "networks", "volumeImages", "machineImages"} {
				if left := b.names(collection); len(left) > 0 {
					t.Errorf("%s at the destination: %v", collection, left)
				}
			}
			rep, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkOwn(t, rep, own, 4)
			if got := b.names("machines"); len(got) != 3 || len(b.ownDisks()) != 1 {
				t.Errorf("machines %v, own disks %v", got, b.ownDisks())
			}
			checkNoImages(t, a, b)
		})
	}
}

// deafTo loses the answer to the second request of a type.
type deafTo struct {
	cimi.Provider
	typeName string
	n        *atomic.Int32
}

func (d deafTo) Create(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	acc, err := d.Provider.Create(ctx, collection, r)
	if err == nil && r.TypeName() == d.typeName && d.n.Add(1) == 2 {
		return nil, errors.New("connection lost")
	}
	return acc, err
}
