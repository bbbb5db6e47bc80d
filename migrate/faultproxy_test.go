package migrate_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/faultproxy"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// through is a cloud as it is reached through a proxy.
func through(t *testing.T, p *faultproxy.Proxy, o client.Options) migrate.Endpoint {
	t.Helper()
	url := p.URL() + "/cloudEntryPoint"
	o.Retry = fetch.Options{MinWait: 10 * time.Millisecond, MaxWait: 50 * time.Millisecond, StallTimeout: 1500 * time.Millisecond, Attempts: 4}
	c, err := client.New(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return migrate.Endpoint{Name: url, URL: url, Provider: c}
}

// faultRun is a move over a line on which one thing goes wrong.
type faultRun struct {
	via   migrate.Via
	fault faultproxy.Fault
	times int
}

// run moves 6 MiB and gives what came of it; the place of the fault is in the
// middle of the disk. What is at both clouds afterwards is checked.
func (f faultRun) run(t *testing.T, credentials client.Options) (*migrate.Report, error) {
	t.Helper()
	a, b := newCloud(t), newCloud(t)
	a.loadLarge(16<<20, 6<<20)
	p := faultproxy.Start(t, a.http.URL, faultproxy.Exports)
	src, dst := through(t, p, credentials), b.remote()
	before := a.systems()
	if f.fault == faultproxy.Gone {
		p.Then = func() { a.clear() }
		before = nil
	}
	e := newEngine(t, src, dst)
	e.StallTimeout = 8 * time.Second
	o := migrate.Options{Source: src, Destination: dst, Via: f.via}
	stage := t.TempDir()
	if f.via == migrate.ViaStage {
		o.Stage = stage
	}
	p.Set(f.fault, 3<<20, f.times)
	rep, err := move(t, e, o)
	if p.Hits() == 0 {
		t.Error("nothing went wrong")
	}
	if got := a.systems(); !slices.Equal(got, before) {
		t.Errorf("the source holds %v", got)
	}
	want := 0
	if err == nil {
		want = 1
	}
	if got := b.systems(); len(got) != want {
		t.Errorf("the destination holds %v", got)
	}
	if err == nil && (!rep.Verified || len(rep.Disks) != 1 || !rep.Disks[0].Verified) {
		t.Errorf("%+v", rep)
	}
	if err != nil && migrate.ClassOf(err) == migrate.ClassTransfer {
		// What can be resumed is, once the line is sound.
		p.Set(faultproxy.None, 0, 0)
		rep, err := e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
		if f.fault == faultproxy.Gone {
			if !errors.Is(err, migrate.ErrSourceChanged) || migrate.ClassOf(err) != migrate.ClassRefused || len(b.systems()) != 0 || b.diskFiles() != 0 {
				t.Errorf("resumed without a source: %v; the destination holds %v", err, b.systems())
			}
		} else if err != nil || !rep.Verified {
			t.Errorf("resumed: %+v: %v", rep, err)
		}
	} else if err != nil {
		if n := b.diskFiles(); n != 0 {
			t.Errorf("%d disks are left at the destination", n)
		}
		if f.via == migrate.ViaStage {
			killed{stage: stage}.checkClean(t)
		}
	}
	return rep, err
}

var packageWays = []migrate.Via{migrate.ViaRelay, migrate.ViaDirect, migrate.ViaStage}

// TestFaultsThatPass: what goes wrong once on the line from the source is
// overcome, whichever way the bytes go, and what arrives is verified (AC-06,
// AC-04).
func TestFaultsThatPass(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, via := range packageWays {
		for _, f := range []faultproxy.Fault{faultproxy.Reset, faultproxy.Stall, faultproxy.Slow, faultproxy.Refused, faultproxy.Truncated, faultproxy.WrongLength} {
			t.Run(string(via)+", "+string(f), func(t *testing.T) {
				t.Parallel()
				if _, err := (faultRun{via, f, 1}).run(t, client.Options{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestFaultsThatStay: what goes wrong again and again ends the run with the
// class and the side that it is of, both clouds as they were (AC-02, AC-33).
func TestFaultsThatStay(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, via := range packageWays {
		for f, class := range map[faultproxy.Fault]migrate.Class{
			faultproxy.Reset: migrate.ClassTransfer, faultproxy.Stall: migrate.ClassTransfer, faultproxy.Truncated: migrate.ClassTransfer,
			faultproxy.Unauthorized: migrate.ClassAuth, faultproxy.Flip: migrate.ClassIntegrity, faultproxy.Gone: migrate.ClassOther,
		} {
			t.Run(string(via)+", "+string(f), func(t *testing.T) {
				t.Parallel()
				_, err := faultRun{via, f, -1}.run(t, client.Options{})
				if err == nil {
					t.Fatal("no error")
				}
				got := migrate.ClassOf(err)
				if f == faultproxy.Gone {
					// Either it is known to be gone, or it does not answer.
					if got == migrate.ClassDone || got == migrate.ClassIntegrity {
						t.Errorf("class %s: %v", got, err)
					}
				} else if got != class {
					t.Errorf("class %s, want %s: %v", got, class, err)
				}
				var e *migrate.Error
				if !errors.As(err, &e) || e.Side == "" {
					t.Fatalf("no side in %v", err)
				}
				// Who fetches directly can only say what it saw; what was damaged is
				// seen where it arrives.
				if via != migrate.ViaDirect && f != faultproxy.Flip && e.Side != migrate.Source {
					t.Errorf("side %q: %v", e.Side, err)
				}
			})
		}
	}
}

// TestFlippedTowardsDestination: a bit that flips between us and the
// destination is not imported either.
func TestFlippedTowardsDestination(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.loadLarge(16<<20, 6<<20)
	src, dst := a.inProcess(), b.remote()
	// The proxy must be known before the relay listens: a port that is free now.
	free := httptest.NewServer(nil)
	listen := free.Listener.Addr().String()
	free.Close()
	p := faultproxy.Start(t, "http://"+listen, faultproxy.All)
	p.Set(faultproxy.Flip, 3<<20, -1)
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Via: migrate.ViaRelay, Relay: migrate.RelayOptions{Listen: listen, URL: p.URL()}})
	wantClass(t, err, migrate.ClassIntegrity, migrate.Destination)
	if p.Hits() == 0 || rep.Verified || len(b.systems()) != 0 || b.diskFiles() != 0 {
		t.Errorf("%d hits, %+v; the destination holds %v", p.Hits(), rep, b.systems())
	}
}

// TestAC05TokenEnds: a token that ends in the middle of a disk is renewed once,
// and the transfer goes on at the same byte.
func TestAC05TokenEnds(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, via := range []migrate.Via{migrate.ViaRelay, migrate.ViaStage} {
		renewed := 0
		rep, err := faultRun{via, faultproxy.Unauthorized, 1}.run(t, client.Options{User: "anna", Password: "old",
			Renew: func(context.Context) (string, string, string, error) { renewed++; return "anna", "new", "", nil }})
		if err != nil || renewed != 1 {
			t.Errorf("%s: renewed %d times: %v", via, renewed, err)
		}
		if rep != nil && rep.Bytes.Read > 8<<20 {
			t.Errorf("%s: %d bytes were read of 6 MiB and a little", via, rep.Bytes.Read)
		}
	}
}

// fullHost has no room for what is imported when half of it has come.
type fullHost struct{ *local.Host }

func (h fullHost) Import(ctx context.Context, pkg ovf.Package, _ host.ImportOptions) (*host.System, error) {
	for {
		m, err := pkg.Next(ctx)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(m.Name, ".vmdk") {
			if _, err := io.CopyN(io.Discard, m, 2<<20); err != nil {
				return nil, err
			}
			return nil, &host.NoSpaceError{Object: "disk big", Need: 4 << 20, Free: 0}
		}
	}
}

// TestDestinationFull: a destination whose disk is full half way refuses, is
// named, and holds nothing.
func TestDestinationFull(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, via := range packageWays {
		a := newCloud(t)
		a.loadLarge(16<<20, 6<<20)
		dir := t.TempDir()
		h, err := local.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		pr, err := provider.New(t.Context(), fullHost{h}, provider.Options{Database: filepath.Join(dir, "provider.db"), AllowSources: loopback, StallTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		handler, err := server.New(pr, server.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := &cloud{t: t, dir: dir, p: pr, http: httptest.NewServer(handler)}
		t.Cleanup(b.close)
		src, dst := a.remote(), b.remote()
		o := migrate.Options{Source: src, Destination: dst, Via: via}
		if via == migrate.ViaStage {
			o.Stage = t.TempDir()
		}
		_, err = move(t, newEngine(t, src, dst), o)
		wantClass(t, err, migrate.ClassRefused, migrate.Destination)
		if err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%s: %v", via, err)
		}
		if len(b.systems()) != 0 || len(a.systems()) != 1 || b.diskFiles() != 0 {
			t.Errorf("%s: the destination holds %v", via, b.systems())
		}
	}
}

// TestAC02SideAndPlace: an error of the line names the side, the file, the
// offset and the attempts.
func TestAC02SideAndPlace(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	_, err := faultRun{migrate.ViaStage, faultproxy.Truncated, -1}.run(t, client.Options{})
	var e *migrate.Error
	var transfer *fetch.TransferError
	if !errors.As(err, &e) || e.Side != migrate.Source || !errors.As(err, &transfer) {
		t.Fatalf("%v", err)
	}
	if transfer.Offset < 3<<20-1<<10 || transfer.Offset > 3<<20 || transfer.Size <= 6<<20 || transfer.Attempts < 2 || !strings.Contains(transfer.URL, "/exports/") {
		t.Errorf("%+v", transfer)
	}
	for _, want := range []string{"source", "attempt"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}

// TestBytesFetched: no more is fetched of a source than it has and 1 MiB, as
// its server counts (AC-07), and of what goes directly 0.1 % passes through us.
func TestBytesFetched(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a := newCloud(t)
	const data = 48 << 20
	a.loadLarge(256<<20, data)
	for _, via := range packageWays {
		b := newCloud(t)
		p := faultproxy.Start(t, a.http.URL, faultproxy.Exports)
		src, dst := through(t, p, client.Options{}), b.remote()
		o := migrate.Options{Source: src, Destination: dst, Via: via}
		if via == migrate.ViaStage {
			o.Stage = t.TempDir()
		}
		if via == migrate.ViaDirect {
			// The destination fetches past the proxy that counts what we fetch.
			src.URL = a.url()
			o.Source = src
		}
		rep, err := move(t, newEngine(t, src, dst), o)
		if err != nil || !rep.Verified {
			t.Fatalf("%s: %+v: %v", via, rep, err)
		}
		x, err := migrate.ExportPackage(t.Context(), a.inProcess(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		size := x.Content.Size()
		x.Close()
		t.Logf("%s: %d bytes came of %d", via, p.Sent(), size)
		if p.Sent() > size+1<<20 || p.Sent() < size {
			t.Errorf("%s: %d bytes came of %d", via, p.Sent(), size)
		}
	}
}
