package main

import (
	"context"
	"net/url"
	"os"
	"strings"

	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/queue"
)

// journal opens the journal: the folder's, or that of a queue.
func (c *call) journal(ctx context.Context, dir string) (*journal.Journal, error) {
	address, err := c.queue()
	if err != nil {
		return nil, err
	}
	if address == "" {
		return journal.Open(ctx, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return journal.OpenShared(ctx, address, journal.SharedOptions{Dir: dir, Heartbeat: c.Duration("heartbeat")})
}

// queue is the URL of the queue, empty without one. A password in it would
// stand in process lists.
func (c *call) queue() (string, error) {
	address := c.String("queue")
	if address == "" {
		return "", nil
	}
	if !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		return "", usage("--queue is postgres://host/database")
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", usage("--queue is not a URL")
	}
	if _, secret := u.User.Password(); (secret || u.Query().Has("password")) && c.IsSet("queue") && !fromEnvironment(c, address) {
		return "", usage("a password stands in --queue, where process lists show it; use PGPASSWORD, PGPASSFILE or CIMIMOVE_QUEUE")
	}
	return address, nil
}

func fromEnvironment(c *call, address string) bool {
	for _, arg := range os.Args {
		if strings.Contains(arg, address) {
			return false
		}
	}
	return os.Getenv("CIMIMOVE_QUEUE") == address
}

// worker takes work from a queue until it is interrupted.
func worker(ctx context.Context, c *call) (result, error) {
	address, err := c.queue()
	if err != nil {
		return result{}, err
	}
	if address == "" {
		return result{}, usage("worker needs --queue postgres://host/database")
	}
	e, done, err := c.engine(ctx, c.show.event)
	if err != nil {
		return result{}, err
	}
	defer done()
	o, err := c.evacuationOptions()
	if err != nil {
		return result{}, err
	}
	w, err := queue.New(ctx, queue.Options{URL: address, Engine: e, Systems: c.Int("parallel-systems"), Heartbeat: c.Duration("heartbeat"), Evacuation: o})
	if err != nil {
		return result{}, err
	}
	if err := w.Run(ctx); err != nil {
		return result{}, err
	}
	return result{}, context.Cause(ctx)
}
