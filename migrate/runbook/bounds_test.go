package runbook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestListCutOff: a list that is too long is refused, and not cut off in the
// middle of a name.
func TestListCutOff(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "list.csv")
	row := "a-system-" + strings.Repeat("x", 1000) + "\n"
	if err := os.WriteFile(file, []byte("system\n"+strings.Repeat(row, maxSize/len(row)+2)), 0o600); err != nil {
		t.Fatal(err)
	}
	if items, err := readList(file, Item{}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%d items of a list that is longer: %v", len(items), err)
	}
}

// TestCommandsAreBounded: a command that gives a value neither holds anybody up
// by what it leaves running, nor fills the memory.
func TestCommandsAreBounded(t *testing.T) {
	t.Parallel()
	began := time.Now()
	v := Value{Exec: []string{"sh", "-c", "echo secret; sleep 20 &"}}
	if got, err := v.Resolve(t.Context()); err != nil || got != "secret" {
		t.Errorf("got %q: %v", got, err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	v = Value{Exec: []string{"sh", "-c", "yes | head -c 100000000"}}
	if got, err := v.Resolve(t.Context()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}

// TestWindowsThatFollow: what is under way is not interrupted where one window
// closes and the next opens.
func TestWindowsThatFollow(t *testing.T) {
	t.Parallel()
	window := func(f WindowForm) Window {
		w, err := f.window()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	now := time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC) // a Saturday
	weekend := []Window{window(WindowForm{Days: []string{"sat", "sun"}, From: "00:00", To: "24:00"})}
	if open, _, until, _ := OpenAt(weekend, now); !open || !until.Equal(time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the weekend is open %v until %s", open, until)
	}
	night := []Window{window(WindowForm{From: "18:00", To: "22:00"}), window(WindowForm{From: "22:00", To: "06:00", End: "finish"})}
	if open, finish, until, _ := OpenAt(night, now); !open || !finish || !until.Equal(time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC)) {
		t.Errorf("the night is open %v until %s, finish %v", open, until, finish)
	}
	always := []Window{window(WindowForm{From: "00:00", To: "00:00"})}
	if open, _, until, _ := OpenAt(always, now); !open || !until.IsZero() {
		t.Errorf("always is open %v until %s", open, until)
	}
}
