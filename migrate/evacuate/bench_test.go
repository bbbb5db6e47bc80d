package evacuate

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// BenchmarkPlan plans runbooks of many Systems, metadata only: the cost of a
// System is flat. The peak is that of the process, which holds both clouds too.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			src, dst := newCloud(b), newCloud(b)
			var text strings.Builder
			fmt.Fprintf(&text, "version: 1\nendpoints: {old: {url: %q}, new: {url: %q}}\ndefaults: {source: old, destination: new}\nsystems:\n", src.URL, dst.URL)
			src.fill(n)
			for i := range n {
				fmt.Fprintf(&text, "  - {system: app-%05d}\n", i)
			}
			e := newEngine(b)
			for b.Loop() {
				rb, err := runbook.Parse("bench", []byte(text.String()))
				if err != nil {
					b.Fatal(err)
				}
				v, err := New(b.Context(), e, rb, Options{})
				if err != nil {
					b.Fatal(err)
				}
				p, _ := v.Plan(b.Context())
				if p == nil || len(p.Items) != n {
					b.Fatal("no plan")
				}
				if err := p.Text(io.Discard, func(io.Writer, *migrate.Plan) error { return nil }); err != nil {
					b.Fatal(err)
				}
				v.Close()
			}
			b.ReportMetric(peak(), "MiB-peak")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/system")
		})
	}
}

// peak is the largest resident set of this process so far, in MiB; 0 where it is
// not known.
func peak() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	fmt.Sscan(rest, &kib)
	return kib / 1024
}

// fill makes Systems of one machine with two disks each.
func (c *testCloud) fill(n int) {
	c.t.Helper()
	volume := func(name string) cimi.TemplateVolumeTemplate {
		return cimi.TemplateVolumeTemplate{VolumeTemplate: cimi.RefBy(&cimi.VolumeTemplate{Common: cimi.Common{Name: name},
			VolumeConfig: cimi.RefBy(&cimi.VolumeConfiguration{Capacity: cimi.Int(1 << 20)})})}
	}
	for i := range n {
		name := fmt.Sprintf("app-%05d", i)
		machine := &cimi.MachineTemplate{MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(2), Memory: cimi.Int(1 << 20)}),
			VolumeTemplates: []cimi.TemplateVolumeTemplate{volume(name + "-system"), volume(name + "-data")}}
		acc, err := c.Provider.Create(c.t.Context(), "systems", &cimi.SystemCreate{Common: cimi.Common{Name: name}, SystemTemplate: cimi.RefBy(&cimi.SystemTemplate{
			ComponentDescriptors: []cimi.ComponentDescriptor{{Name: name + "-vm", Type: cimi.TypeURI("Machine"), MachineTemplate: cimi.RefBy(machine)}},
		})})
		if err == nil {
			_, err = cimi.Wait(c.t.Context(), c.Provider, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}
