package main

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestUnchanged: only what is the program's own, can't be written to and is as in
// its file may be given back; the rest would be lost.
func TestUnchanged(t *testing.T) {
	const smaps = `00400000-01abd000 r-xp 00000000 fe:00 99 /opt/with a space/cimimove
Size:              23284 kB
Rss:               13556 kB
Anonymous:             0 kB
01abd000-03651000 r--p 016bd000 fe:00 99 /opt/with a space/cimimove
Anonymous:             0 kB
03651000-037dc000 rw-p 03251000 fe:00 99 /opt/with a space/cimimove
Anonymous:             0 kB
037dc000-03800000 r--p 03251000 fe:00 99 /opt/with a space/cimimove
Anonymous:           260 kB
03700000-03710000 r--p 03251000 fe:00 99 /opt/with a space/cimimove
Anonymous:             0 kB
Swap:                  4 kB
03800000-03900000 r--s 03251000 fe:00 99 /opt/with a space/cimimove
Anonymous:             0 kB
7fa8b50aa000-7fa8b5200000 r-xp 00026000 fe:00 32 /usr/lib/x86_64-linux-gnu/libc.so.6
Anonymous:             0 kB
7fa8b6000000-7fa8b6100000 r--p 00000000 00:00 0 
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0x1abd000}, {0x1abd000, 0x3651000}}
	if got := unchanged([]byte(smaps), "/opt/with a space/cimimove"); !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestForgetStartup: what the program's file takes of memory is less afterwards.
func TestForgetStartup(t *testing.T) {
	touched := func() (kib int) {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := bytes.Cut(status, []byte("RssFile:"))
		if !ok {
			ovftest.Missing(t, "RssFile of /proc/self/status")
		}
		kib, err = strconv.Atoi(string(bytes.Fields(rest)[0]))
		if err != nil {
			t.Fatal(err)
		}
		return kib
	}
	before := touched()
	forgetStartup()
	if after := touched(); after > before*3/4 {
		t.Errorf("%d KiB of files in memory, %d before", after, before)
	}
}
