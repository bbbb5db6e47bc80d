// Package queue lets any number of machines carry out one evacuation: River on
// PostgreSQL hands out tickets, each for one try of one System.
//
// River has no heartbeat, so the truth does not stand in its tables: a ticket
// is only a hint. What a System's state is, who works on it, and how many move
// at each cloud stands in the journal's tables (leases with heartbeat, items
// that change by compare-and-set). Every worker looks each heartbeat for
// Systems that may begin, those of workers that died among them, and puts
// tickets for them into the queue; a ticket that comes too late, twice, or to
// a worker that cannot use it is simply done.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// Options of a Worker. Zero values are the defaults named.
type Options struct {
	// URL of the PostgreSQL database, the one that Engine.Journal is in.
	URL    string
	Engine *migrate.Engine
	// Systems is how many this worker moves at a time; default 2.
	Systems int
	// Heartbeat is how often it looks for work; default 5 s.
	Heartbeat time.Duration
	// Evacuation is how runbooks are carried out.
	Evacuation evacuate.Options
}

// Worker takes work from a queue.
type Worker struct {
	opts   Options
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]

	mu   sync.Mutex
	runs map[string]*evacuate.Evacuation
	// over are the counts of changes at which runbooks had nothing left.
	over map[string]int64
}

// ticket is the argument of a job.
type ticket struct {
	evacuate.Ticket
}

// Kind names the job.
func (ticket) Kind() string { return "cimimove.system" }

// once is how a ticket stands in the queue: one job for it at a time, not tried
// again, as the next look makes a new ticket. A worker that is killed between
// taking a job and claiming its System leaves the job running for ever, so
// after a few heartbeats the same ticket may stand there again.
func (w *Worker) once() *river.InsertOpts {
	return &river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: max(4*w.opts.Heartbeat, time.Second), ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

// taker works on jobs.
type taker struct {
	river.WorkerDefaults[ticket]
	w *Worker
}

// Timeout: none. A transfer takes as long as it moves.
func (taker) Timeout(*river.Job[ticket]) time.Duration { return -1 }

// Work implements river.Worker.
func (t taker) Work(ctx context.Context, job *river.Job[ticket]) error {
	return t.w.take(ctx, job.Args.Ticket)
}

// New connects to the queue and makes its tables when absent.
func New(ctx context.Context, o Options) (*Worker, error) {
	if o.Systems <= 0 {
		o.Systems = 2
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 5 * time.Second
	}
	if !o.Engine.Journal.Shared() {
		return nil, errors.New("queue: the journal must be in the queue's database")
	}
	pool, err := pgxpool.New(ctx, o.URL)
	if err != nil {
		return nil, errors.New("queue: not the URL of a PostgreSQL database") // the library's error shows the password
	}
	w := &Worker{opts: o, pool: pool, runs: map[string]*evacuate.Evacuation{}, over: map[string]int64{}}
	if err := w.connect(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("queue: %w", err)
	}
	return w, nil
}

func (w *Worker) connect(ctx context.Context) error {
	driver := riverpgxv5.New(w.pool)
	quiet := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return err
	}
	// Several workers may start at once: only one migrates at a time.
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	const lock = 0x7269766572 // "river"
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if _, unlockErr := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(lock)); err == nil {
		err = unlockErr
	}
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, taker{w: w})
	w.client, err = river.NewClient(driver, &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: w.opts.Systems}},
		Workers: workers, JobTimeout: -1, MaxAttempts: 1, Logger: quiet,
		CompletedJobRetentionPeriod: time.Hour, DiscardedJobRetentionPeriod: time.Hour, CancelledJobRetentionPeriod: time.Hour,
	})
	return err
}

// Run takes work until ctx ends; then what is under way is interrupted and
// another worker goes on with it.
func (w *Worker) Run(ctx context.Context) error {
	defer w.close()
	// So that who asks for the status knows whether anybody is there.
	there, err := w.opts.Engine.Journal.Lock(journal.WorkerLock(uuid.NewString()))
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	defer there.Unlock()
	// The client's own context stays alive: it must still say that jobs ended.
	if err := w.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := w.client.StopAndCancel(stop); err != nil {
			slog.Warn("queue: jobs did not end in time", "error", err)
		}
	}()
	tick := time.NewTicker(w.opts.Heartbeat / 4)
	defer tick.Stop()
	for {
		if err := w.tend(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("queue: looking for work", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// close closes what is open after the client has stopped.
func (w *Worker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.runs {
		v.Close()
	}
	w.pool.Close()
}

// tend puts tickets into the queue for Systems that may begin.
func (w *Worker) tend(ctx context.Context) error {
	batches, err := w.opts.Engine.Journal.Batches(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range batches {
		w.mu.Lock()
		at, over := w.over[b.ID]
		w.mu.Unlock()
		if b.Paused || over && at == b.Change {
			continue
		}
		// One that this worker cannot read does not hold up the others.
		if err := w.tendRun(ctx, b.ID, b.Change); err != nil {
			errs = append(errs, fmt.Errorf("run %s: %w", b.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (w *Worker) tendRun(ctx context.Context, run string, change int64) error {
	v, err := w.evacuation(ctx, run)
	if err != nil {
		return err
	}
	tickets, _, over, err := v.Ready(ctx)
	if err != nil {
		return err
	}
	if over {
		w.mu.Lock()
		w.over[run] = change
		w.mu.Unlock()
		return nil
	}
	if len(tickets) == 0 {
		return nil
	}
	jobs := make([]river.InsertManyParams, len(tickets))
	for n, t := range tickets {
		jobs[n] = river.InsertManyParams{Args: ticket{t}, InsertOpts: w.once()}
	}
	_, err = w.client.InsertMany(ctx, jobs)
	return err
}

// take works on one ticket. An error of the journal is logged: the next look
// makes a new ticket when there is still something to do.
func (w *Worker) take(ctx context.Context, t evacuate.Ticket) error {
	v, err := w.evacuation(ctx, t.Run)
	if err != nil {
		return err
	}
	if err := v.Take(ctx, t); err != nil {
		return err
	}
	// What ended may let others begin.
	return w.tendRun(context.WithoutCancel(ctx), t.Run, -1)
}

// evacuation opens a runbook once for all its tickets, and anew when it was
// submitted again with other Systems.
func (w *Worker) evacuation(ctx context.Context, run string) (*evacuate.Evacuation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v := w.runs[run]; v != nil && !v.Outdated(ctx) {
		return v, nil
	}
	v, err := evacuate.Open(ctx, w.opts.Engine, run, w.opts.Evacuation)
	if err != nil {
		return nil, err
	}
	// One that is outdated stays open for what it still moves.
	w.runs[run] = v
	return v, nil
}
