// Package metrics counts what the engine does, for Prometheus. Labels are the
// names of endpoints as users wrote them, steps, states and classes: few
// values, and no secrets.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is a migrate.Observer. Its methods may be called concurrently.
type Metrics struct {
	registry *prometheus.Registry
	running  *prometheus.GaugeVec
	runs     *prometheus.CounterVec
	steps    *prometheus.HistogramVec
	failed   *prometheus.CounterVec
	bytes    *prometheus.CounterVec
}

// New makes an empty set, with those of the process beside it.
func New() *Metrics {
	ends := []string{"source", "destination"}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "cimimove", Name: "runs_running",
			Help: "Migrations in progress in this process."}, ends),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "cimimove", Name: "runs_total",
			Help: "Migrations that ended, by state and by class of error."}, append([]string{"state", "class"}, ends...)),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "cimimove", Name: "step_seconds",
			Help: "How long steps took.", Buckets: []float64{0.1, 1, 10, 60, 300, 1800, 7200, 28800, 86400}}, []string{"step"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "cimimove", Name: "step_failures_total",
			Help: "Steps and hooks that failed."}, []string{"step"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "cimimove", Name: "bytes_total",
			Help: "Bytes read from either cloud for a migration."}, ends),
	}
	m.registry.MustRegister(m.running, m.runs, m.steps, m.failed, m.bytes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers with the exposition.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// RunBegan counts a run in progress.
func (m *Metrics) RunBegan(source, destination string) {
	m.running.WithLabelValues(source, destination).Inc()
}

// RunEnded counts how a run ended.
func (m *Metrics) RunEnded(source, destination, state, class string) {
	m.running.WithLabelValues(source, destination).Dec()
	m.runs.WithLabelValues(state, class, source, destination).Inc()
}

// StepEnded counts a step.
func (m *Metrics) StepEnded(step string, took time.Duration, failed bool) {
	m.steps.WithLabelValues(step).Observe(took.Seconds())
	if failed {
		m.failed.WithLabelValues(step).Inc()
	}
}

// Moved counts bytes.
func (m *Metrics) Moved(source, destination string, bytes int64) {
	m.bytes.WithLabelValues(source, destination).Add(float64(bytes))
}
