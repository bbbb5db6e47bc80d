package main

import (
	"strings"
	"testing"
)

// TestAsk: silence, an end and anything but yes are no.
func TestAsk(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "\n": false, "": false, "no\n": false, "yesterday\n": false, "yes": true} {
		var out strings.Builder
		got, err := ask(strings.NewReader(answer), &out, "Well? ")
		if err != nil || got != want || out.String() != "Well? " {
			t.Errorf("%q: %v, %v, asked %q", answer, got, err, out.String())
		}
	}
}
