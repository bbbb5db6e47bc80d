package board

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser starts a headless Chromium, or skips.
func browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal("chromium is missing, and this test is mandatory here")
		}
		t.Skip("chromium is missing")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(profile(t)),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(time.Minute))
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// profile is a folder for what the browser keeps. Processes of it may write there
// for a moment when it has ended.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for deadline := time.Now().Add(10 * time.Second); os.RemoveAll(dir) != nil; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("the browser goes on writing to %s", dir)
				return
			}
		}
	})
	return dir
}

// TestBrowserE2E: a person sees the run live, finds a System, opens its log by
// keyboard alone, reads the error and its hint, and can change something only
// with the token; the page asks nobody but its server.
func TestBrowserE2E(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") != "1" {
		t.Skip("set CIMIMOVE_E2E=1 to run it")
	}
	source := newScripted()
	page := Handler(source, Options{Token: "token-of-the-night", Interval: 20 * time.Millisecond})
	s := httptest.NewServer(page)
	t.Cleanup(s.CloseClientConnections)
	ctx := browser(t)
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(e.Request.URL, s.URL) && !strings.HasPrefix(e.Request.URL, "data:") {
			t.Errorf("the page asks %s", e.Request.URL)
		}
	})
	var failed, bar, hint, log, focus, answer, lanes string
	err := chromedp.Run(ctx, network.Enable(), chromedp.Navigate(s.URL+"/"),
		chromedp.WaitVisible(`//*[@id="link" and text()="live"]`),
		chromedp.Text("#t-failed", &failed), chromedp.AttributeValue(".card.running progress", "aria-label", &bar, nil),
		chromedp.Text("#error-list .hint", &hint))
	if err != nil {
		t.Fatal(err)
	}
	if failed != "1" || bar != "db-1 data transfer" || hint != "bring it back" {
		t.Errorf("failed %q, bar %q, hint %q", failed, bar, hint)
	}
	source.set(func(b *Board) {
		b.Totals.Done = 1
		b.Lanes = append([]Lane(nil), b.Lanes...)
		b.Lanes[0].Cards = append([]Card(nil), b.Lanes[0].Cards...)
		b.Lanes[0].Cards[0].State, b.Lanes[0].Cards[0].Disks = "verified", nil
	})
	step := func(what string, actions ...chromedp.Action) {
		t.Helper()
		limit, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		if err := chromedp.Run(limit, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	step("the change shows", chromedp.WaitVisible(`//*[@id="t-done" and text()="1"]`))
	// By keyboard: "/" finds, Tab reaches the System, Enter opens its log, Escape closes it.
	step("find", chromedp.KeyEvent("/"),
		// The protocol types the key though the page has taken it; a keyboard would not.
		chromedp.Evaluate(`document.activeElement.id === "filter" && (document.activeElement.value = "")`, nil), chromedp.KeyEvent("web"), chromedp.Sleep(100*time.Millisecond), chromedp.Text("#lanes", &lanes))
	step("reach", chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(`document.activeElement.textContent`, &focus))
	step("open the log of "+focus, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#log[open] li"), chromedp.Text("#log-lines", &log))
	step("close it", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("#log[open]"))
	step("ask without token", chromedp.Click(`button[data-verb="pause"]`), chromedp.WaitVisible(`//*[@id="answer" and contains(text(),"token")]`))
	step("ask with it", chromedp.SendKeys("#token", "token-of-the-night"), chromedp.Click(`button[data-verb="pause"]`),
		chromedp.WaitVisible(`//*[@id="answer" and contains(text(),"done")]`), chromedp.Text("#answer", &answer))
	// The run ends, and the server with it: the page keeps the end.
	page.End(&Board{Title: "night.yaml", State: "failed", Things: "systems", Done: "verified", Failed: "failed", Rates: []Sample{}, Totals: Totals{Systems: 1, Failed: 1},
		Lanes: []Lane{{Name: "db", State: "ended", Cards: []Card{{ID: "db-2", System: "web-db", State: "failed", Error: "gone", Log: []Line{{time.Now(), "its disk is gone"}}}}}}})
	shut, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.Config.Shutdown(shut); err != nil {
		t.Error(err)
	}
	step("the end stays", chromedp.WaitVisible(`//*[@id="link" and text()="the end of the run"]`), chromedp.WaitVisible(`//*[@id="state" and text()="failed"]`),
		chromedp.Click(".card.failed .open"), chromedp.WaitVisible(`//*[@id="log-lines"]/li[contains(text(),"its disk is gone")]`))
	if strings.Contains(lanes, "db-1") || !strings.Contains(lanes, "web-1") {
		t.Errorf("the filter shows %q", lanes)
	}
	if focus != "web-1" || !strings.Contains(log, "begun web-1") {
		t.Errorf("focus on %q, log %q", focus, log)
	}
	source.mu.Lock()
	defer source.mu.Unlock()
	if len(source.asked) != 1 || source.asked[0] != "pause " {
		t.Errorf("asked %v", source.asked)
	}
}
