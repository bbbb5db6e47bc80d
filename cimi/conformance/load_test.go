package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/server"
)

// TestLoad: clients that read and write at once on loopback lose no update and
// see no fault. CIMIMOVE_LOAD=60s is the long form, with 200 clients.
func TestLoad(t *testing.T) {
	clients, length := 40, time.Second
	if s := os.Getenv("CIMIMOVE_LOAD"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
		clients = 200
	}
	c := open(t, server.Options{})
	const counters = 10
	var ids []string // half of the store, half of the host
	for range counters {
		ids = append(ids, c.config(`"cpu":1`), c.machine())
	}
	l := &load{base: c.URL, counters: ids, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}, took: map[string][]time.Duration{}}
	defer l.client.CloseIdleConnections()
	end := time.Now().Add(length)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for r := rand.New(rand.NewPCG(1, uint64(i))); time.Now().Before(end) && !t.Failed(); {
				if err := l.step(r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, id := range ids {
		n := 0
		fmt.Sscan(c.get(id).s("cpu"), &n)
		total += n - 1
	}
	if total != l.written || l.written == 0 {
		t.Errorf("%d updates were answered as done, %d are there", l.written, total)
	}
	if n := len(c.ids("/machineConfigs")); n != counters {
		t.Errorf("%d configurations are left, want %d", n, counters)
	}
	var all []time.Duration
	for _, kind := range []string{"read", "list", "update", "create", "delete"} {
		t.Logf("%-6s %6d, p50 %s, p99 %s", kind, len(l.took[kind]), quantile(l.took[kind], 0.5), quantile(l.took[kind], 0.99))
		all = append(all, l.took[kind]...)
	}
	t.Logf("%d clients, %s: %d requests, p50 %s, p99 %s, %d updates, %d of them made again after 412", clients, length, len(all), quantile(all, 0.5), quantile(all, 0.99), l.written, l.refused)
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))].Round(10 * time.Microsecond)
}

// load is what the clients share.
type load struct {
	base     string
	counters []string
	client   *http.Client

	mu      sync.Mutex
	took    map[string][]time.Duration
	written int
	refused int
}

// step is what a client does next: mostly it reads.
func (l *load) step(r *rand.Rand) error {
	id := l.counters[r.IntN(len(l.counters))]
	switch n := r.IntN(10); {
	case n < 5:
		_, _, err := l.do("read", "GET", id, "", "", 200)
		return err
	case n < 6:
		_, _, err := l.do("list", "GET", l.base+"/machines?$filter=cpu%3E1&$orderby=name&$last=10", "", "", 200)
		return err
	case n < 9:
		return l.increment(id)
	}
	resp, _, err := l.do("create", "POST", l.base+"/machineConfigs", body("MachineConfiguration", `"cpu":1`), "", 201)
	if err != nil {
		return err
	}
	_, _, err = l.do("delete", "DELETE", resp.Header.Get("Location"), "", "", 200)
	return err
}

// increment adds one to a counter, and does so again when it has changed in
// between.
func (l *load) increment(id string) error {
	typeName := "MachineConfiguration"
	if strings.Contains(id, "/machines/") {
		typeName = "Machine"
	}
	for range 1000 {
		resp, text, err := l.do("read", "GET", id, "", "", 200)
		if err != nil {
			return err
		}
		var now struct{ CPU int }
		if err := json.Unmarshal([]byte(text), &now); err != nil {
			return err
		}
		put, _, err := l.do("update", "PUT", id+"?$select=cpu", body(typeName, fmt.Sprintf(`"cpu":%d`, now.CPU+1)), resp.Header.Get("ETag"), 200, 412)
		if err != nil {
			return err
		}
		l.mu.Lock()
		if put.StatusCode == 200 {
			l.written++
		} else {
			l.refused++
		}
		l.mu.Unlock()
		if put.StatusCode == 200 {
			return nil
		}
	}
	return fmt.Errorf("%s was never got hold of", id)
}

func (l *load) do(kind, method, url, text, match string, want ...int) (*http.Response, string, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(text))
	if err != nil {
		return nil, "", err
	}
	if match != "" {
		req.Header.Set("If-Match", match)
	}
	start := time.Now()
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	l.mu.Lock()
	l.took[kind] = append(l.took[kind], time.Since(start))
	l.mu.Unlock()
	if !slices.Contains(want, resp.StatusCode) {
		return nil, "", fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, b)
	}
	return resp, string(b), nil
}
