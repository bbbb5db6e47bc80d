package evacuate

import (
	"strings"
	"testing"

	"github.com/cimimove/cimimove/migrate"
)

// TestAdvise: every failure says what to do next, in words that a shell takes.
func TestAdvise(t *testing.T) {
	t.Parallel()
	for c := migrate.ClassOther; c <= migrate.ClassUnverified; c++ {
		f := &migrate.Failure{Code: int(c)}
		if advise(f, "0a1b2c", "app-1"); f.Hint == "" {
			t.Errorf("class %s has no hint", c)
		}
	}
	f := &migrate.Failure{Code: int(migrate.ClassTransfer)}
	if advise(f, "0a1b2c", "it's $(here)"); !strings.Contains(f.Hint, `cimimove retry 0a1b2c 'it'\''s $(here)' `) {
		t.Errorf("hint %q", f.Hint)
	}
	f = &migrate.Failure{Code: int(migrate.ClassTransfer), Hint: "its own"}
	if advise(f, "0a1b2c", "x"); f.Hint != "its own" {
		t.Errorf("hint %q", f.Hint)
	}
}

// TestDeadEndpoint: of a cloud that does not answer the report says so, and
// what to do about it.
func TestDeadEndpoint(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t, "one"), newCloud(t)
	b.URL = "http://127.0.0.1:1/cloudEntryPoint"
	rep, err := evacuation(t, newEngine(t), book(t, a, b, "systems: [{system: one}]"), Options{}).Run(t.Context())
	if migrate.ExitCode(err) != 9 || rep.Items[0].Error == nil {
		t.Fatalf("%+v, %v", rep, err)
	}
	if f := rep.Items[0].Error; f.Side != "destination" || !strings.Contains(f.Hint, "cimimove retry "+rep.Run+" one") {
		t.Errorf("%+v", f)
	}
}
