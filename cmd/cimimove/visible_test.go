package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/migrate"
)

// hostile is a name that would move the cursor, colour what follows, and turn its direction.
const hostile = "a\u009b2J\u202eb"

// TestVisible: a terminal is shown what it would obey; the rest stays, and JSON
// means the same.
func TestVisible(t *testing.T) {
	var out bytes.Buffer
	v := &visible{&out}
	for in, want := range map[string]string{
		"plain\tbytes\n":       "plain\tbytes\n",
		"größe 10 µs … \ufffd": "größe 10 µs … \ufffd",
		hostile:                `a\u009b2J\u202eb`,
		"\x1b]0;x\x07\r\x7f":   `\u001b]0;x\u0007\u000d\u007f`,
		"one\r\ntwo\r\r\n":     "one\ntwo\\u000d\n",
		"\xff\x9bü":            `\xff\x9bü`,
	} {
		out.Reset()
		if n, err := fmt.Fprint(v, in); n != len(in) || err != nil {
			t.Errorf("%q: %d bytes, %v", in, n, err)
		}
		if out.String() != want {
			t.Errorf("%q is shown as %q, want %q", in, out.String(), want)
		}
	}
	b, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	var back string
	if err := json.Unmarshal([]byte(visibly(b)), &back); err != nil || back != hostile {
		t.Errorf("JSON: %q, %v", back, err)
	}
	p := &barProgress{w: &out, width: 80, stopped: make(chan struct{}), ended: make(chan struct{})}
	out.Reset()
	p.event(migrate.Event{System: hostile + "\n", Disk: "d", Phase: "transfer", Done: 1, Total: 4})
	p.draw()
	if strings.ContainsAny(out.String(), "\u009b\u202e") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("the bar is %q", out.String())
	}
}

// TestTerminal: names of a package reach a terminal visibly, on both streams, and
// files as they are.
func TestTerminal(t *testing.T) {
	script := program(t, "script") // gives a program a terminal
	p, err := newTestPackage(filepath.Join("testdata", "descriptor"), "replace=<Name>web</Name>=><Name>"+hostile+"</Name>", "replace=ovf:capacity=\"2097152\"=>ovf:capacity=\""+hostile+"\"")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "hostile.ova")
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	if _, out, _ := invoked("inspect", file); !strings.Contains(out, hostile) {
		t.Errorf("to a file: %q", out)
	}
	for _, command := range []string{"inspect", "validate"} {
		for _, form := range []string{"text", "json"} {
			cmd := exec.CommandContext(context.Background(), script, "-qec", "cimimove "+command+" "+file+" --output "+form, os.DevNull)
			out, _ := cmd.CombinedOutput()
			if !strings.Contains(string(out), `\u009b`) || strings.ContainsAny(string(out), "\u009b\u202e") {
				t.Errorf("%s as %s: %q", command, form, out)
			}
		}
	}
}

// TestNamesOfSeveralLines: a name makes no lines of its own in a listing.
func TestNamesOfSeveralLines(t *testing.T) {
	var out bytes.Buffer
	err := entriesText(&out, []entry{{ID: "m/1", Name: "web\nother\tMachine\vSTARTED\fm/2\r", Type: "Machine", State: "STOPPED"}, {ID: "m/3", Name: "db", Type: "Machine", State: "STARTED"}})
	if lines := strings.Count(out.String(), "\n"); err != nil || lines != 3 || strings.ContainsAny(out.String(), "\r\v\f\t") {
		t.Errorf("%d lines, %v:\n%q", lines, err, out.String())
	}
}
