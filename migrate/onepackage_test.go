package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/cert"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestImportPackage takes a package in, from a file that can seek and from a
// stream that cannot, and out again.
func TestImportPackage(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T, b []byte) ovf.Package{
		"file":   func(t *testing.T, b []byte) ovf.Package { return hosttest.Package(t, b) },
		"stream": func(t *testing.T, b []byte) ovf.Package { return hosttest.Stream(t, bytes.NewReader(b)) },
	} {
		for way, endpoint := range map[string]func(*cloud) migrate.Endpoint{"in process": (*cloud).inProcess, "over HTTP": (*cloud).remote} {
			t.Run(name+" "+way, func(t *testing.T) {
				c := newCloud(t)
				s := hosttest.NewSample(t, "shop", 1)
				res, err := migrate.ImportPackage(t.Context(), open(t, s.OVA(t)), endpoint(c), migrate.ImportOptions{Name: "store"})
				if err != nil || res.System != "store" || res.ID == "" {
					t.Fatalf("%+v: %v", res, err)
				}
				x, err := migrate.ExportPackage(t.Context(), endpoint(c), "store")
				if err != nil {
					t.Fatal(err)
				}
				defer x.Close()
				var out bytes.Buffer
				if err := x.WriteOVA(t.Context(), &out, nil); err != nil {
					t.Fatal(err)
				}
				if int64(out.Len()) != x.Content.Size() {
					t.Errorf("%d bytes written, the export has %d", out.Len(), x.Content.Size())
				}
			})
		}
	}
}

// TestImportDamaged: a flipped byte exits with 4, names the file and leaves
// nothing.
func TestImportDamaged(t *testing.T) {
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	for name, open := range map[string]func(t *testing.T, b []byte) ovf.Package{
		"file":   func(t *testing.T, b []byte) ovf.Package { return hosttest.Package(t, b) },
		"stream": func(t *testing.T, b []byte) ovf.Package { return hosttest.Stream(t, bytes.NewReader(b)) },
	} {
		for way, endpoint := range map[string]func(*cloud) migrate.Endpoint{"in process": (*cloud).inProcess, "over HTTP": (*cloud).remote} {
			t.Run(name+" "+way, func(t *testing.T) {
				c := newCloud(t)
				b := bytes.Clone(s.OVA(t))
				off, size := s.File(t, "disk2.vmdk")
				b[off+size/2] ^= 1
				_, err := migrate.ImportPackage(t.Context(), open(t, b), endpoint(c), migrate.ImportOptions{})
				if migrate.ExitCode(err) != 4 || !bytes.Contains([]byte(err.Error()), []byte("disk2.vmdk")) {
					t.Errorf("exit %d: %v", migrate.ExitCode(err), err)
				}
				if got := c.systems(); len(got) != 0 {
					t.Errorf("the cloud holds %v", got)
				}
			})
		}
	}
}

// TestImportExists: a name that is taken refuses before anything is sent.
func TestImportExists(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	s := hosttest.NewSample(t, "shop", 1)
	c.load(s)
	_, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, s.OVA(t)), c.remote(), migrate.ImportOptions{})
	var e *migrate.Error
	if !errors.As(err, &e) || e.Class != migrate.ClassRefused {
		t.Errorf("%v", err)
	}
	res, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, s.OVA(t)), c.remote(), migrate.ImportOptions{IfExists: migrate.ExistsRename})
	if err != nil || res.System != "shop-2" {
		t.Errorf("%+v: %v", res, err)
	}
}

// TestImportPackageAttested: a package is wrapped more than once on its way to a
// vCenter, which is asked all the same for the digests of what has arrived.
func TestImportPackageAttested(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	v := vctest.New(t, vctest.Options{})
	c := &vCloud{cloud: &cloud{t: t, dir: t.TempDir()}, v: v, disk: "thin"}
	c.open()
	s := hosttest.NewSample(t, "shop", 1)
	s.Algorithm = manifest.SHA1
	for name, disks := range map[string]int{"one": 1, "several": 4} {
		asked := v.Calls("HttpNfcLeaseGetManifest")
		pkg := ovf.Package(hosttest.Package(t, s.OVA(t)))
		if disks == 1 {
			pkg = cert.Enforce(pkg, cert.Demand{})
		}
		if _, err := migrate.ImportPackage(t.Context(), pkg, migrate.Endpoint{Name: c.url(), Provider: c.p}, migrate.ImportOptions{Name: name, ParallelDisks: disks}); err != nil {
			t.Fatal(err)
		}
		if n := v.Calls("HttpNfcLeaseGetManifest") - asked; n != 1+2 {
			t.Errorf("%s disk at a time: the digests were asked for %d times, want once before and once for each of two disks", name, n)
		}
	}
}

// TestImportUnreadable: a package that cannot be read is at fault, however its disks
// are read, and not the cloud.
func TestImportUnreadable(t *testing.T) {
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	for name, disks := range map[string]int{"one": 1, "several": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			pkg := ovf.Package(unreadable{hosttest.Package(t, s.OVA(t)).(ovf.Parallel)})
			_, err := migrate.ImportPackage(t.Context(), pkg, c.inProcess(), migrate.ImportOptions{ParallelDisks: disks})
			var e *migrate.Error
			if !errors.As(err, &e) || e.Side != migrate.PackageSide || !errors.Is(err, errUnreadable) {
				t.Errorf("%v: %+v", err, e)
			}
			if got := c.systems(); len(got) != 0 {
				t.Errorf("the cloud holds %v", got)
			}
		})
	}
}

var errUnreadable = errors.New("input/output error")

// unreadable is a package on a medium with a bad sector in each file.
type unreadable struct{ ovf.Parallel }

func (u unreadable) Next(ctx context.Context) (*ovf.Member, error) {
	m, err := u.Parallel.Next(ctx)
	if err == nil {
		m.Reader = io.MultiReader(io.LimitReader(m.Reader, 1000), iotest.ErrReader(errUnreadable))
	}
	return m, err
}

func (u unreadable) Pass(ctx context.Context, name string, from ovf.Passed) (ovf.Passage, error) {
	p, err := u.Parallel.Pass(ctx, name, from)
	return badPassage{p, io.MultiReader(io.LimitReader(p, 1000), iotest.ErrReader(errUnreadable))}, err
}

type badPassage struct {
	ovf.Passage
	r io.Reader
}

func (b badPassage) Read(p []byte) (int, error) { return b.r.Read(p) }

// TestImportHungUp: a cloud that stops reading a package, and fails, is at fault, and
// not the package.
func TestImportHungUp(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	s := hosttest.NewSample(t, "shop", 1)
	d := c.remote()
	left := make(chan struct{})
	d.Provider = hungUp{d.Provider, left}
	b := s.OVA(t)
	half := len(b) / 2
	in := io.MultiReader(bytes.NewReader(b[:half]), waits{left}, bytes.NewReader(b[half:]))
	_, err := migrate.ImportPackage(t.Context(), hosttest.Stream(t, in), d, migrate.ImportOptions{})
	var e *migrate.Error
	if !errors.As(err, &e) || e.Side != migrate.Destination {
		t.Errorf("%v: %+v", err, e)
	}
}

// hungUp begins to fetch what it is to import, and does not get to the end.
type hungUp struct {
	cimi.Provider
	left chan struct{}
}

func (h hungUp) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Action != cimi.ActionImport {
		return h.Provider.Invoke(ctx, id, a)
	}
	res, err := http.Get(a.Source)
	if err != nil {
		return nil, err
	}
	_, err = io.ReadFull(res.Body, make([]byte, 1000))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	close(h.left)
	time.Sleep(100 * time.Millisecond) // until it is written to
	own := *a
	own.Source = "http://127.0.0.1:1/none.ova"
	return h.Provider.Invoke(ctx, id, &own)
}

// waits has nothing to read, and says so when a channel is closed.
type waits struct{ until chan struct{} }

func (w waits) Read([]byte) (int, error) {
	<-w.until
	return 0, io.EOF
}
