package evacuate

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/runbook"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestEvacuation: a runbook goes on after an item fails, and run again it
// touches only what is unfinished (AC-34, AC-36).
func TestEvacuation(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t, "one", "two", "four"), newCloud(t)
	e := newEngine(t)
	const list = `
systems:
  - {system: one}
  - {system: two, name: zwei}
  - {system: three}
  - {system: four}
limits: {systems: 2}
`
	rep, err := evacuation(t, e, book(t, a, b, list), Options{}).Run(t.Context())
	if migrate.ExitCode(err) != 9 || rep.Verified != 3 || rep.Failed != 1 {
		t.Fatalf("exit %d, %+v: %v", migrate.ExitCode(err), rep, err)
	}
	if i := rep.Items[2]; i.State != "failed" || i.Error == nil || i.Error.Code != 5 || i.Error.Side != "source" {
		t.Errorf("item %+v, error %+v", i, i.Error)
	}
	ids := []string{rep.Items[0].DestinationID, rep.Items[1].DestinationID}

	a.load("three", 7)
	rep, err = evacuation(t, e, book(t, a, b, list), Options{}).Run(t.Context())
	if err != nil || rep.Verified != 4 {
		t.Fatalf("again: %+v: %v", rep, err)
	}
	if again := []string{rep.Items[0].DestinationID, rep.Items[1].DestinationID}; !slices.Equal(ids, again) {
		t.Errorf("finished items moved again: %v, %v", ids, again)
	}
	if got := b.Names(); !slices.Equal(got, []string{"four", "one", "three", "zwei"}) {
		t.Errorf("the destination holds %v", got)
	}
	var text strings.Builder
	if err := rep.Text(&text); err != nil || !strings.Contains(text.String(), "4 verified, 0 failed") {
		t.Errorf("%s%v", text.String(), err)
	}
	undone, err := Rollback(t.Context(), e, rep.Run)
	if err != nil || undone.RolledBack != 4 || undone.Verified != 0 || len(b.Names()) != 0 {
		t.Errorf("%+v: %v; the destination holds %v", undone, err, b.Names())
	}
	// Done again, it took as long as it took this time.
	began := time.Now()
	rep, err = evacuation(t, e, book(t, a, b, list), Options{}).Run(t.Context())
	if err != nil || rep.Verified != 4 || rep.Items[0].Started.Before(began) || rep.Items[0].Attempts != 1 {
		t.Errorf("%+v: %v", rep, err)
	}
	// What is said of one System does not tear the table apart.
	table := Report{Items: []ItemReport{{System: "a", State: "running", Done: 1, Total: 4}, {System: "b\nc", Wave: "w", State: "pending", Reason: "waits"}, {System: "longer", State: "verified", Run: "r"}}, Verified: 1, Pending: 2}
	text.Reset()
	if err := table.Text(&text); err != nil {
		t.Fatal(err)
	}
	const want = "SYSTEM  WAVE  STATE         RUN  DESTINATION\na       -     running 25 %\nb?c     w     pending\n  waits\nlonger  -     verified      r\n1 verified, 0 failed, 0 skipped, 2 not begun, of 3\n"
	if got := text.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestInterrupted: an interrupted evacuation goes on with the same call.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t, "shop"), newCloud(t)
	e := newEngine(t)
	ctx, stop := context.WithCancel(t.Context())
	e.Journal.AfterWrite(func(what string) {
		if what == "note import" {
			stop()
		}
	})
	rep, err := evacuation(t, e, book(t, a, b, "systems: [{system: shop}]\n"), Options{}).Run(ctx)
	if migrate.ClassOf(err) != migrate.ClassInterrupt || rep.Items[0].State != "interrupted" {
		t.Fatalf("%+v: %v", rep, err)
	}
	e.Journal.AfterWrite(nil)
	rep, err = evacuation(t, e, book(t, a, b, "systems: [{system: shop}]\n"), Options{}).Run(t.Context())
	if err != nil || rep.Verified != 1 || !slices.Equal(b.Names(), []string{"shop"}) {
		t.Errorf("%+v: %v; the destination holds %v", rep, err, b.Names())
	}
	list, err := e.Status(t.Context())
	if err != nil || len(list.Runs) != 1 || list.Runs[0].State != "verified" {
		t.Errorf("%+v: %v", list, err)
	}
}

// TestCancel: an operator takes out a System that is under way; nothing of it
// stays, and the others move.
func TestCancel(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t, "one", "two"), newCloud(t)
	e := newEngine(t)
	v := evacuation(t, e, book(t, a, b, "systems: [{system: one}, {system: two}]\nlimits: {systems: 1}\n"), Options{})
	var once sync.Once
	e.Journal.AfterWrite(func(what string) {
		if what == "note import" {
			once.Do(func() {
				go Control{e.Journal}.Cancel(context.Background(), v.ID(), "one")
				time.Sleep(300 * time.Millisecond)
			})
		}
	})
	rep, err := v.Run(t.Context())
	if err != nil || rep.Items[0].State != "cancelled" || rep.Items[1].State != "verified" || rep.Cancelled != 1 {
		t.Errorf("%+v: %v", rep, err)
	}
	if got := b.Names(); !slices.Equal(got, []string{"two"}) {
		t.Errorf("the destination holds %v", got)
	}
}

// TestPause: nothing is begun while paused.
func TestPause(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t, "one", "two"), newCloud(t)
	e := newEngine(t)
	v := evacuation(t, e, book(t, a, b, "systems: [{system: one}, {system: two}]\nlimits: {systems: 1}\n"), Options{})
	control := Control{e.Journal}
	paused := make(chan struct{})
	var once sync.Once
	e.Journal.AfterWrite(func(what string) {
		if what == "note import" {
			once.Do(func() {
				go func() {
					control.Pause(context.Background(), v.ID())
					close(paused)
				}()
			})
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if rep, err := v.Run(t.Context()); err != nil || rep.Verified != 2 {
			t.Errorf("%+v: %v", rep, err)
		}
	}()
	<-paused
	for v.Report().Verified == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	if rep := v.Report(); rep.Items[1].State != "pending" || !rep.Paused || !strings.Contains(rep.Items[1].Reason, "paused") {
		t.Errorf("while paused: %+v", rep)
	}
	if err := control.Continue(t.Context(), v.ID()); err != nil {
		t.Fatal(err)
	}
	<-done
}

// TestRetries: a failure that may pass is tried again after a while, one that
// will not is not.
func TestRetries(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t, "one"), newCloud(t)
	e := newEngine(t)
	var (
		mu    sync.Mutex
		fails = 3 // the plan of the whole is the first to meet one
	)
	dial := e.Dial
	e.Dial = func(ctx context.Context, url string, side migrate.Side) (migrate.Endpoint, error) {
		mu.Lock()
		defer mu.Unlock()
		if side == migrate.Destination && fails > 0 {
			fails--
			return migrate.Endpoint{}, &migrate.Error{Class: migrate.ClassTransfer, Side: side, Object: url, Err: io.ErrUnexpectedEOF}
		}
		return dial(ctx, url, side)
	}
	rep, err := evacuation(t, e, book(t, a, b, "systems: [{system: one, retries: {count: 2, wait: 10ms}}, {system: nowhere, after: [one], retries: {count: 2, wait: 10ms}}]\n"), Options{Parallel: 1}).Run(t.Context())
	if migrate.ExitCode(err) != 9 || rep.Items[0].State != "verified" || rep.Items[0].Attempts < 2 || rep.Items[1].Attempts != 1 {
		t.Errorf("%+v: %v", rep, err)
	}
}

// TestNotify: webhooks are told, with a signature.
func TestNotify(t *testing.T) {
	t.Parallel()
	var (
		mu   sync.Mutex
		told []string
	)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("shared"))
		mac.Write(body)
		var n Notice
		if json.Unmarshal(body, &n) != nil || r.Header.Get(SignatureHeader) != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("%s with %s", body, r.Header.Get(SignatureHeader))
		}
		mu.Lock()
		told = append(told, n.Event+" "+n.System+n.Wave)
		mu.Unlock()
	}))
	defer hook.Close()
	a, b := newCloud(t, "one"), newCloud(t)
	rb := book(t, a, b, "waves: [{name: w, systems: [{system: one}]}]\nsystems: [{system: nowhere}]\nlimits: {systems: 1}\nnotify: [{url: "+hook.URL+", on: [started, wave, verified, failed, finished], secret: {exec: [echo, shared]}}]\n")
	if _, err := evacuation(t, newEngine(t), rb, Options{}).Run(t.Context()); migrate.ExitCode(err) != 9 {
		t.Error(err)
	}
	want := []string{"started ", "verified one", "wave w", "failed nowhere", "finished "}
	slices.Sort(want)
	slices.Sort(told)
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestItemsOptions: controllers and the ways to come to rest are those of the
// engine, and a plan is made with them.
func TestItemsOptions(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t, "one"), newCloud(t)
	for stop, want := range map[string]migrate.Quiesce{"graceful": migrate.QuiesceGraceful, "force": migrate.QuiesceForce, "refuse": migrate.QuiesceRefuse, "never": migrate.QuiesceRefuse} {
		rb := book(t, a, b, "systems: [{system: one, controllers: {sata: scsi}, cutover: {stop: "+stop+"}}]\n")
		v := evacuation(t, newEngine(t), rb, Options{})
		o, err := v.migration(t.Context(), rb.Items[0], nil)
		if err != nil || o.Quiesce != want || o.Controllers["sata"] != "scsi" {
			t.Errorf("%s: %+v: %v", stop, o, err)
		}
		if p, err := v.Plan(t.Context()); err != nil || len(p.Items) != 1 {
			t.Errorf("%s: %+v: %v", stop, p, err)
		}
	}
	_, err := runbook.Parse("x", []byte("version: 1\nendpoints: {a: {url: 'local:a'}}\nsystems: [{system: one, source: a, destination: a, controllers: {sata: floppy}}]\n"))
	if !errors.Is(err, runbook.ErrInvalid) || !strings.Contains(err.Error(), "floppy") {
		t.Errorf("%v", err)
	}
}

// TestRecordedIsSealed: the journal keeps a runbook so that only the key beside
// it opens it, and one that an earlier version kept plainly is still read.
func TestRecordedIsSealed(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	rb := &runbook.Runbook{Name: "night", Notify: []runbook.Notify{{URL: "https://chat.example/canary"}}, Items: []runbook.Item{{System: "one", Properties: map[string]runbook.Value{"k": {Text: "canary"}}}}}
	doc, err := seal(t.Context(), e.Journal, rb)
	if err != nil || bytes.Contains(doc, []byte("canary")) || bytes.Contains(doc, []byte("night")) {
		t.Fatalf("%s: %v", doc, err)
	}
	plain, err := json.Marshal(rb)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []json.RawMessage{doc, plain} {
		got, err := unseal(t.Context(), e.Journal, form)
		if err != nil || got.Notify[0].URL != rb.Notify[0].URL || got.Items[0].Properties["k"].Text != "canary" {
			t.Errorf("%+v: %v", got, err)
		}
	}
	if _, err := unseal(t.Context(), newEngine(t).Journal, doc); err == nil {
		t.Error("another key opens it")
	}
	if _, err := unseal(t.Context(), e.Journal, json.RawMessage(`{"sealed":"AAAA"}`)); err == nil {
		t.Error("what is cut off is opened")
	}
}

// TestPlan: everything that blocks is said at once, and nothing is written.
func TestPlan(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t, "one", "two"), newCloud(t)
	e := newEngine(t)
	v := evacuation(t, e, book(t, a, b, "systems: [{system: nowhere}, {select: {name: '*'}}, {system: gone}]\n"), Options{})
	p, err := v.Plan(t.Context())
	if migrate.ExitCode(err) != 5 || !strings.Contains(err.Error(), "nowhere") || p.Refused != 2 || len(p.Items) != 4 || p.Bytes == 0 {
		t.Errorf("%+v: %v", p, err)
	}
	if len(b.Names()) != 0 {
		t.Error("a plan has moved something")
	}
	runs, err := e.Journal.Runs(t.Context())
	if err != nil || len(runs) != 0 {
		t.Errorf("%v: %v", runs, err)
	}
}

// TestWindowCloses: what is under way when the window closes is interrupted,
// nothing of it is cut over outside, and the next window ends it.
func TestWindowCloses(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t, "one"), newCloud(t)
	e := newEngine(t)
	rb := book(t, a, b, "windows: {n: {from: \"22:00\", to: \"06:00\"}}\nwindow: n\nsystems: [{system: one}]\nlimits: {bandwidth: 128KiB}\n")
	night := time.Date(2026, 11, 29, 5, 59, 59, 0, time.UTC)
	began := time.Now()
	// It is a second before the end until something was interrupted, and then morning.
	var morning atomic.Bool
	clock := func() time.Time {
		if morning.Load() {
			return night.Add(time.Hour)
		}
		return night
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	v := evacuation(t, e, rb, Options{Now: clock})
	ended := make(chan error, 1)
	go func() {
		_, err := v.Run(ctx)
		ended <- err
	}()
	var rep *Report
	for rep = v.Report(); rep.Items[0].State != "pending" || rep.Items[0].Error == nil; rep = v.Report() {
		if time.Since(began) > 3*time.Minute {
			t.Fatalf("%+v", rep.Items[0])
		}
		time.Sleep(20 * time.Millisecond)
	}
	morning.Store(true)
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(v.Report().Items[0].Reason, "window"); {
		select {
		case err := <-ended:
			t.Fatalf("the run ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", v.Report().Items[0])
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !strings.Contains(rep.Items[0].Error.Message, "window has closed") || len(b.Names()) != 0 {
		t.Errorf("%+v; the destination holds %v", rep.Items[0], b.Names())
	}
	stop()
	<-ended
	// The next night.
	fast := book(t, a, b, "windows: {n: {from: \"22:00\", to: \"06:00\"}}\nwindow: n\nsystems: [{system: one}]\n")
	rep, err := evacuation(t, e, fast, Options{Now: func() time.Time { return night.Add(20 * time.Hour) }}).Run(t.Context())
	if err != nil || rep.Verified != 1 || !slices.Equal(b.Names(), []string{"one"}) {
		t.Errorf("%+v: %v", rep, err)
	}
}
