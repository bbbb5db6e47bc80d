package runbook

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// folder writes files and gives the path of the first.
func folder(t *testing.T, files ...[2]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f[0]), []byte(f[1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0][0])
}

// TestVariables: one may stand in another and in the place of a number; one
// that stands for itself, or is not set, is refused with its place.
func TestVariables(t *testing.T) {
	t.Parallel()
	text := strings.Replace(least, "limits: {systems: 4}", "limits: {systems: \"${n}\", bandwidth: \"${rate}\"}\nretries:\n  count: ${n}\nvars: {n: 3, rate: 5MiB, site: ber, host: \"${site}-${n}\", money: \"$${n}\"}", 1)
	text = strings.Replace(text, "app-002-moved", `"${host}-${money}"`, 1)
	rb, err := Parse("rb.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if rb.Limits.Systems != 3 || rb.Limits.Bandwidth != 5<<20 || rb.Items[0].Retries.Count != 3 || rb.Items[1].Name != "ber-3-${n}" {
		t.Errorf("%+v %+v", rb.Limits, rb.Items)
	}
	for _, c := range [][2]string{{"vars: {a: \"${b}\", b: \"${a}\"}", "variable a stands for itself"}, {"vars: {a: \"${nowhere}\"}", "variable nowhere is not set"},
		{"retries: {count: \"${x}\"}\nvars: {x: many}", "10:"}, {"retries: {count: \"${x}\"}", "10:18"}} {
		_, err := Parse("rb.yaml", []byte(strings.Replace(least, "onFailure: continue", c[0], 1)))
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v, want %s", c[0], err, c[1])
		}
	}
}

// TestIncludes: long ones are read, one that several include counts once, and a
// second document in a file is not lost in silence.
func TestIncludes(t *testing.T) {
	t.Parallel()
	var long strings.Builder
	long.WriteString("version: 1\ninclude: [common.yaml]\nsystems:\n")
	for n := range 1000 {
		fmt.Fprintf(&long, "  - {system: app-%04d}\n", n)
	}
	common := "version: 1\nwaves: [{name: first, after: []}]\nhooks: [{on: after verify, run: [true]}]\nnotify: [{url: \"http://h/\"}]\n"
	main := [2]string{"night.yaml", strings.Replace(least, "version: 1", "version: 1\ninclude: [common.yaml, long.yaml]", 1)}
	rb, err := Load(folder(t, main, [2]string{"common.yaml", common}, [2]string{"long.yaml", long.String()}), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rb.Items) != 1002 || rb.Items[999].System != "app-0999" || rb.Items[999].Line != 1003 || len(rb.Waves) != 1 || len(rb.Items[0].Hooks) != 1 || len(rb.Notify) != 1 {
		t.Errorf("%d items, %+v, %d waves, %d hooks, %d webhooks", len(rb.Items), rb.Items[999], len(rb.Waves), len(rb.Items[0].Hooks), len(rb.Notify))
	}
	_, err = Parse("rb.yaml", []byte(least+"---\n"+least))
	if err == nil || !strings.Contains(err.Error(), "rb.yaml:11:") || !strings.Contains(err.Error(), "second document") {
		t.Error(err)
	}
	for include, want := range map[string]string{"/dev/zero": "more than", filepath.Dir(os.Args[0]): "is a directory"} {
		if _, err := os.Stat(include); err != nil {
			continue
		}
		_, err := Parse("rb.yaml", []byte(strings.Replace(least, "version: 1", "version: 1\ninclude: ["+include+"]", 1)))
		if err == nil || !strings.Contains(err.Error(), "rb.yaml:2:11:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", include, err)
		}
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if _, err := Parse("rb.yaml", []byte(empty)); err == nil || !strings.Contains(err.Error(), "empty") {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

// TestSpreadsheet: a list that a spreadsheet wrote, with a byte order mark,
// CRLF, quotes and an empty line, is read; one that is wrong is refused with its
// line.
func TestSpreadsheet(t *testing.T) {
	t.Parallel()
	book := [2]string{"night.yaml", strings.Replace(least, "{system: app-001}", "{select: {csv: list.csv}}", 1)}
	_, err := Load(folder(t, book, [2]string{"list.csv", "\ufeffsystem,name,after,powerOn,net.lan\r\n\"app, one\",eins,,yes,dmz\r\n\r\ntwo,,\"app, one\",,\r\n"}), LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), "app,") {
		t.Errorf("%v", err) // after holds names without spaces
	}
	rb, err := Load(folder(t, book, [2]string{"list.csv", "\ufeffsystem,name,after,powerOn,net.lan\r\n\"app, one\",eins,,yes,dmz\r\n\r\ntwo,,three,,\r\nthree,drei,,no,\r\n"}), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if i := rb.Items[0]; i.System != "app, one" || i.Name != "eins" || !i.PowerOn || i.Net["lan"] != "dmz" || rb.Items[1].After[0] != "three" || rb.Items[1].Line != 4 {
		t.Errorf("%+v", rb.Items[:3])
	}
	for text, want := range map[string]string{
		"system,colour\na,b\n": `column "colour"`, "name\na\n": "called system", "system,name\n,x\n": "list.csv:2", "system\n": "no systems", "": "column names",
		"system,name\na,b,c\n": "line 2", "system,verify\na,most\n": "list.csv:2:", "system\n\"a\n": "line 2", "system,wave\na,w\n": "list.csv:2",
		"system,powerOn\na,perhaps\n": "list.csv:2", "system,system\na,b\n": "twice",
	} {
		if _, err := Load(folder(t, book, [2]string{"list.csv", text}), LoadOptions{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "7:") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestSelectSlash: a slash in a name is a letter like others.
func TestSelectSlash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s    Select
		name string
		want bool
	}{
		{Select{Name: "*"}, "team/app", true}, {Select{Name: "team/*"}, "team/a/b", true}, {Select{Name: "team?app"}, "team/app", true},
		{Select{Name: "[a-z]*"}, "team/app", true}, {Select{Name: "app*"}, "team/app", false}, {Select{Name: "*", Exclude: []string{"team/*"}}, "team/app", false},
	} {
		if got := c.s.Matches(Found{Name: c.name}); got != c.want {
			t.Errorf("%+v of %s: %v", c.s, c.name, got)
		}
	}
}

// TestWindowAtTheEdges: midnight, and the nights on which the clock goes forward
// and back.
func TestWindowAtTheEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		form      WindowForm
		now, then string
		open      bool
	}{
		// The hour from 02:00 does not exist on 2027-03-28 in Berlin: what opens or
		// shuts in it does so as long after midnight as on other days.
		{WindowForm{From: "22:00", To: "02:30", Zone: "Europe/Berlin"}, "2027-03-28T00:59:59Z", "2027-03-28T01:30:00Z", true},
		{WindowForm{From: "02:15", To: "02:45", Zone: "Europe/Berlin"}, "2027-03-28T00:59:00Z", "2027-03-28T01:15:00Z", false},
		{WindowForm{From: "02:15", To: "02:45", Zone: "Europe/Berlin"}, "2027-03-28T01:20:00Z", "2027-03-28T01:45:00Z", true},
		// It comes twice on 2026-10-25: a window in it opens once, the second time.
		{WindowForm{From: "02:15", To: "02:45", Zone: "Europe/Berlin"}, "2026-10-25T00:20:00Z", "2026-10-25T01:15:00Z", false},
		{WindowForm{From: "02:15", To: "02:45", Zone: "Europe/Berlin"}, "2026-10-25T01:20:00Z", "2026-10-25T01:45:00Z", true},
		{WindowForm{From: "02:15", To: "02:45", Zone: "Europe/Berlin"}, "2026-10-25T01:45:00Z", "2026-10-26T01:15:00Z", false},
		{WindowForm{From: "22:00", To: "04:00", Zone: "Europe/Berlin"}, "2026-10-25T01:30:00Z", "2026-10-25T03:00:00Z", true},
		// Midnight itself, from either side.
		{WindowForm{Days: []string{"sun"}, From: "20:00", To: "24:00"}, "2026-11-29T23:59:59Z", "2026-11-30T00:00:00Z", true},
		{WindowForm{Days: []string{"sun"}, From: "20:00", To: "24:00"}, "2026-11-30T00:00:00Z", "2026-12-06T20:00:00Z", false},
		{WindowForm{Days: []string{"mon"}, From: "00:00", To: "06:00"}, "2026-11-30T00:00:00Z", "2026-11-30T06:00:00Z", true},
		{WindowForm{Days: []string{"sun"}, From: "23:00", To: "00:30"}, "2026-11-30T00:29:59Z", "2026-11-30T00:30:00Z", true},
		// A zone a day ahead, and one of half hours.
		{WindowForm{Days: []string{"mon"}, From: "00:00", To: "01:00", Zone: "Pacific/Kiritimati"}, "2026-11-29T10:30:00Z", "2026-11-29T11:00:00Z", true},
		{WindowForm{From: "00:00", To: "00:30", Zone: "Asia/Kolkata"}, "2026-11-29T18:45:00Z", "2026-11-29T19:00:00Z", true},
	} {
		w, err := c.form.window()
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		then, open := w.Open(now)
		if !open {
			then = w.Next(now)
		}
		if got := then.UTC().Format(time.RFC3339); open != c.open || got != c.then {
			t.Errorf("%+v at %s: open %v, then %s; want %v, %s", c.form, c.now, open, got, c.open, c.then)
		}
	}
	// Times without quotes are texts here, as YAML 1.2 has them.
	rb, err := Parse("rb.yaml", []byte(strings.Replace(least, "limits: {systems: 4}", "windows: {n: {from: 22:00, to: 06:00}}\nwindow: n", 1)))
	if err != nil || len(rb.Windows) != 1 || rb.Windows[0].From != 22*time.Hour {
		t.Errorf("%v: %+v", err, rb)
	}
}
