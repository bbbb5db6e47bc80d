package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/cimimove/cimimove/migrate/metrics"
)

// metricsServer serves /metrics and /healthz where --metrics-listen says; stop
// ends it. Without that option there is nothing.
func (c *call) metricsServer(ctx context.Context) (m *metrics.Metrics, stop func(), err error) {
	address := c.String("metrics-listen")
	if address == "" {
		return nil, func() {}, nil
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, usage("--metrics-listen: %v", err)
	}
	m = metrics.New()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	c.logger().Info("metrics", "url", "http://"+ln.Addr().String()+"/metrics")
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			c.logger().Warn("metrics", "error", err)
		}
	}()
	return m, func() { srv.Close() }, nil
}
