package board

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted is a Source whose Board a test sets.
type scripted struct {
	mu      sync.Mutex
	board   Board
	changes chan struct{}
	asked   []string
}

func newScripted() *scripted {
	now := time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)
	return &scripted{changes: make(chan struct{}, 1), board: Board{
		Title: "night.yaml", Subtitle: "run 5f0a3c9e2b71", State: "running", Things: "systems", Done: "verified", Failed: "failed", Time: now, Started: now,
		Rates: []Sample{{now, 0}, {now.Add(time.Second), 50 << 20}, {now.Add(2 * time.Second), 40 << 20}},
		Lanes: []Lane{
			{Name: "db", State: "running", Cards: []Card{
				{ID: "db-1", System: "db-1", State: "running", Step: "transfer", Disks: []Bar{{Disk: "data", Phase: "transfer", Done: 25, Total: 100, Rate: 10 << 20}}},
				{ID: "db-2", System: "db-2", State: "failed", Error: "source: <script>alert(1)</script> is gone", Hint: "bring it back"},
			}},
			{Name: "web", State: "waiting", Cards: []Card{{ID: "web-1", System: "web-1", State: "pending", Reason: "waits for wave db"}}},
		},
		Totals: Totals{Systems: 3, Running: 1, Failed: 1, Waiting: 1, Rate: 10 << 20},
	}}
}

func (s *scripted) Board(context.Context) (*Board, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.board
	b.Lanes = append([]Lane(nil), b.Lanes...)
	return &b, nil
}

func (s *scripted) Watch() (<-chan struct{}, func()) { return s.changes, func() {} }

func (s *scripted) Log(_ context.Context, card string) ([]Line, error) {
	return []Line{{time.Unix(1_800_000_000, 0), "begun " + card}}, nil
}

func (s *scripted) Do(_ context.Context, verb, card string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, verb+" "+card)
	if card == "refuse" {
		return errors.New("it is verified already")
	}
	return nil
}

// set changes the Board and tells of it.
func (s *scripted) set(change func(*Board)) {
	s.mu.Lock()
	change(&s.board)
	s.mu.Unlock()
	s.changes <- struct{}{}
}

func get(t *testing.T, url string) (string, *http.Response) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp
}

// TestPage: the page is whole in itself, and what a cloud says is text in it.
func TestPage(t *testing.T) {
	s := httptest.NewServer(Handler(newScripted(), Options{}))
	defer s.Close()
	page, resp := get(t, s.URL+"/")
	for _, want := range []string{"night.yaml", "db-2", "bring it back", "waits for wave db", `role="status"`, "Skip to the systems"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "<script>alert") {
		t.Error("a name becomes a script")
	}
	for _, outside := range []string{"http://", "https://", "//cdn", "@import", "url("} {
		if strings.Contains(strings.ReplaceAll(page, "http://www.w3.org", ""), outside) {
			t.Errorf("the page needs something from outside: %s", outside)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("CSP %q", csp)
	}
	if _, resp := get(t, s.URL+"/nowhere"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s", resp.Status)
	}
	file, err := HTML(&newScripted().board)
	if err != nil || !strings.Contains(string(file), `data-live="false"`) {
		t.Errorf("%v", err)
	}
}

// TestEvents: a change is sent at once, and many as one.
func TestEvents(t *testing.T) {
	source := newScripted()
	s := httptest.NewServer(Handler(source, Options{Interval: 10 * time.Millisecond}))
	defer s.Close()
	resp, err := http.Get(s.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() *Board {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var b Board
				if err := json.Unmarshal([]byte(data), &b); err != nil {
					t.Fatal(err)
				}
				return &b
			}
		}
		t.Fatal("the events end")
		return nil
	}
	if b := next(); b.Totals.Done != 0 {
		t.Errorf("%+v", b.Totals)
	}
	source.set(func(b *Board) { b.Totals.Done = 1 })
	if b := next(); b.Totals.Done != 1 || b.Controls {
		t.Errorf("%+v", b)
	}
}

// TestEnd: who looks when the run ends has its end, though the server goes away.
func TestEnd(t *testing.T) {
	t.Parallel()
	page := Handler(newScripted(), Options{Interval: time.Hour})
	s := httptest.NewServer(page)
	defer s.Close()
	resp, err := http.Get(s.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page.End(&Board{State: "ended"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Config.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if last := all[bytes.LastIndex(all, []byte("data: ")):]; !bytes.Contains(last, []byte(`"state":"ended"`)) || !bytes.Contains(last, []byte(`"over":true`)) {
		t.Errorf("the last picture is %s", last)
	}
}

// TestDo: requests need the token; without one the page only shows.
func TestDo(t *testing.T) {
	for _, c := range []struct {
		token, sent, query string
		status             int
		asked              string
	}{
		{"", "", "verb=pause", 403, ""},
		{"", "Bearer ", "verb=pause", 403, ""},
		{"secret", "", "verb=pause", 403, ""},
		{"secret", "Bearer wrong", "verb=pause", 403, ""},
		{"secret", "Bearer secret", "verb=pause", 204, "pause "},
		{"secret", "Bearer secret", "verb=cancel&card=db-1", 204, "cancel db-1"},
		{"secret", "Bearer secret", "verb=cancel&card=refuse", 409, "cancel refuse"},
		{"secret", "Bearer secret", "verb=delete", 400, ""},
	} {
		source := newScripted()
		s := httptest.NewServer(Handler(source, Options{Token: c.token}))
		req, _ := http.NewRequest(http.MethodPost, s.URL+"/do?"+c.query, nil)
		if c.sent != "" {
			req.Header.Set("Authorization", c.sent)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status || strings.Join(source.asked, ",") != c.asked {
			t.Errorf("%+v: %s, asked %v", c, resp.Status, source.asked)
		}
		s.Close()
	}
}
