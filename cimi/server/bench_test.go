package server_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/providertest/memory"
	"github.com/cimimove/cimimove/cimi/server"
)

// BenchmarkQuery shows how answers grow with the cloud: the entry point, the
// first page, and filters, of 1,000 to 100,000 machines.
func BenchmarkQuery(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		p := memory.New()
		for i := range n {
			_, err := p.Create(b.Context(), "machines", &cimi.MachineCreate{Common: cimi.Common{Name: fmt.Sprintf("vm-%d", i)},
				MachineTemplate: cimi.RefBy(&cimi.MachineTemplate{MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(int64(1 + i%64)), Memory: cimi.Int(1024)})})})
			if err != nil {
				b.Fatal(err)
			}
		}
		h, err := server.New(p, server.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for _, x := range []struct{ name, path string }{
			{"entry", "/cloudEntryPoint"},
			{"page", "/machines?$first=1&$last=100"},
			{"filter-name", fmt.Sprintf("/machines?$filter=name='vm-%d'", n-1)},
			{"filter-cpu", "/machines?$filter=cpu%3E60&$last=100"},
		} {
			b.Run(fmt.Sprintf("%s/%d", x.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequest("GET", x.path, nil))
					if w.Code != 200 || strings.Contains(w.Body.String(), `"count": 0`) {
						b.Fatalf("%d: %s", w.Code, w.Body)
					}
				}
			})
		}
		p.Close()
	}
}
