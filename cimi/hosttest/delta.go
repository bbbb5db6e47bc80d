package hosttest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/flatten"
	"github.com/cimimove/cimimove/ovf/ova"
)

// testDeltas: a disk that holds only what differs from its parent (DSP0243
// 9.1) arrives whole, from a file and from a stream; the parent, which a
// machine has too, stays what it is, and what is exported has no parents.
func testDeltas(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "layers", 3)
	base, delta := sample.Disks["disk1"], sample.Disks["disk2"]
	const grain = 64 << 10
	whole := bytes.Clone(base)
	for at := 0; at < len(whole); at += grain {
		if piece := delta[at:min(at+grain, len(delta))]; len(bytes.Trim(piece, "\x00")) > 0 {
			copy(whole[at:], piece)
		}
	}
	layered := *sample
	layered.Descriptor = bytes.Replace(sample.Descriptor, []byte(`ovf:fileRef="file2"`), []byte(`ovf:fileRef="file2" ovf:parentRef="disk1"`), 1)
	want := &Sample{Disks: map[string][]byte{"disk1": base, "disk2": whole}}
	for name, pkg := range map[string]ovf.Package{"file": Package(t, layered.OVA(t)), "stream": Stream(t, bytes.NewReader(layered.OVA(t)))} {
		var told []string
		sys, err := h.Import(context.Background(), pkg, host.ImportOptions{Finding: func(f ovf.Finding) {
			if f.ID == flatten.RuleFlattened {
				told = append(told, f.Object)
			}
		}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.Join(told, " ") != "disk disk2" {
			t.Errorf("%s: told of deltas %q, want disk2 once", name, told)
		}
		checkContent(t, h, sys, want)
		_, archive := export(t, h, sys.ID, host.ExportOptions{})
		out, err := ova.Open(context.Background(), bytes.NewReader(archive), int64(len(archive)), "out", ova.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if flatten.Needed(out.Envelope()) {
			t.Errorf("%s: the export has delta disks", name)
		}
		out.Close()
		_, disks, _ := contents(t, archive)
		for id, content := range want.Disks {
			if !bytes.Equal(disks[id], content) {
				t.Errorf("%s: disk %s of the export is another one", name, id)
			}
		}
	}
}
