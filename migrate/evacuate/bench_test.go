package evacuate

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// BenchmarkPlan plans runbooks of many Systems, metadata only: the cost of a
// System is flat, and so is the memory beside the plan itself.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			src, dst := newCloud(b), newCloud(b)
			var text strings.Builder
			fmt.Fprintf(&text, "version: 1\nendpoints: {old: {url: %q}, new: {url: %q}}\ndefaults: {source: old, destination: new}\nsystems:\n", src.url, dst.url)
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
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapInuse)/(1<<20), "MiB-heap")
				v.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/system")
		})
	}
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
		acc, err := c.p.Create(c.t.Context(), "systems", &cimi.SystemCreate{Common: cimi.Common{Name: name}, SystemTemplate: cimi.RefBy(&cimi.SystemTemplate{
			ComponentDescriptors: []cimi.ComponentDescriptor{{Name: name + "-vm", Type: cimi.TypeURI("Machine"), MachineTemplate: cimi.RefBy(machine)}},
		})})
		if err == nil {
			_, err = cimi.Wait(c.t.Context(), c.p, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}
