package conformance

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
)

// BenchmarkCloud shows how the answers and the memory of the embedded cloud
// grow with it, from 1,000 to 100,000 machines in Systems of ten.
func BenchmarkCloud(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		h, p := largeCloud(b, n)
		for _, x := range []struct{ name, path string }{
			{"entry", "/cloudEntryPoint"},
			{"page", "/machines?$last=100"},
			{"filter-name", fmt.Sprintf("/machines?$filter=name='vm-%d'", n-1)},
			{"filter-cpu", "/machines?$filter=cpu%3E60&$last=100"},
			{"last-page", fmt.Sprintf("/machines?$first=%d", n-99)},
			{"orderby", "/machines?$orderby=cpu:desc,name&$last=100"},
		} {
			b.Run(fmt.Sprintf("%s/%d", x.name, n), func(b *testing.B) {
				for b.Loop() {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequest("GET", x.path, nil))
					if w.Code != 200 || strings.Contains(w.Body.String(), `"count": 0`) {
						b.Fatalf("%d: %s", w.Code, w.Body)
					}
				}
				b.ReportMetric(heap(), "heap-MiB")
			})
		}
		p.Close()
	}
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse) / (1 << 20)
}

// largeCloud is a new process's view of an embedded cloud of n machines.
func largeCloud(b *testing.B, n int) (http.Handler, *provider.Provider) {
	b.Helper()
	ctx, dir := context.Background(), b.TempDir()
	h, err := local.Open(ctx, dir)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < n; i += 10 {
		s := &host.System{ID: host.NewID(), Name: fmt.Sprint("system-", i)}
		net := &host.Network{ID: host.NewID(), Name: "lan"}
		s.Networks = append(s.Networks, net)
		for j := i; j < i+10; j++ {
			s.Machines = append(s.Machines, &host.Machine{ID: host.NewID(), Name: fmt.Sprint("vm-", j), State: host.Stopped, CPUs: 1 + j%64, MemoryBytes: 1 << 30,
				NICs: []host.NIC{{Network: net.ID, MAC: fmt.Sprintf("52:54:%02x:%02x:%02x:00", j>>16, j>>8&255, j&255)}}})
		}
		if err := h.Make(ctx, s, nil); err != nil {
			b.Fatal(err)
		}
	}
	p, err := provider.New(ctx, h, provider.Options{Database: filepath.Join(dir, "cimi.db")})
	if err != nil {
		b.Fatal(err)
	}
	handler, err := server.New(p, server.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return handler, p
}
