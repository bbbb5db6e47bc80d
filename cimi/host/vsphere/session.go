package vsphere

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// connection is a session with a vCenter that is renewed when it has ended:
// a transfer may take longer than a session lives (AC-05).
type connection struct {
	*vim25.Client
	opts Options
	// renewals counts logins, so that calls that failed together renew once.
	mu       sync.Mutex
	renewals int
	stop     chan struct{}
	once     sync.Once
	stopped  sync.WaitGroup
}

// keepAlive is well below the 30 minutes that a vCenter allows by default.
const keepAlive = 5 * time.Minute

// answerTimeout bounds the wait for the head of an answer; calls that wait for
// something to happen are given less to wait for.
const answerTimeout = 2 * time.Minute

// connect opens a session with the vCenter at u.
func connect(ctx context.Context, u *url.URL, opts Options) (*connection, error) {
	t, err := opts.transport()
	if err != nil {
		return nil, err
	}
	s := soap.NewClient(&url.URL{Scheme: "https", Host: u.Host, Path: vim25.Path}, opts.Connection.Insecure)
	own := s.DefaultTransport()
	own.TLSClientConfig, own.Proxy, own.DialContext = t.TLSClientConfig, t.Proxy, t.DialContext
	own.DialTLSContext = nil // the configuration decides alone, and proxies count
	own.ResponseHeaderTimeout = answerTimeout
	s.UserAgent = "cimimove"
	c := &connection{opts: opts, stop: make(chan struct{})}
	if c.Client, err = vim25.NewClient(ctx, s); err != nil {
		return nil, explain(err)
	}
	c.Client.RoundTripper = &renewing{c, s}
	if err := c.login(ctx); err != nil {
		return nil, err
	}
	c.stopped.Add(1)
	go c.keep()
	return c, nil
}

func (c *connection) login(ctx context.Context) error {
	err := session.NewManager(c.Client).Login(ctx, url.UserPassword(c.opts.User, c.opts.Password))
	return explain(err)
}

// keep calls now and then, so that a session does not end while bytes flow
// elsewhere.
func (c *connection) keep() {
	defer c.stopped.Done()
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
			// A failure shows again in the next call that somebody waits for.
			_, _ = methods.GetCurrentTime(ctx, c)
			cancel()
		}
	}
}

// close ends the session.
func (c *connection) close() (err error) {
	c.once.Do(func() { err = c.logout() })
	return err
}

func (c *connection) logout() error {
	close(c.stop)
	c.stopped.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := session.NewManager(c.Client).Logout(ctx)
	c.Client.CloseIdleConnections()
	if isFault[*types.NotAuthenticated](err) {
		return nil
	}
	return explain(err)
}

// renewing logs in again when the session has ended, and repeats the call once;
// calls that change nothing are repeated too when the line breaks (AC-06).
type renewing struct {
	c    *connection
	next soap.RoundTripper
}

func (r *renewing) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	switch req.(type) {
	case *methods.LoginBody, *methods.LogoutBody:
		return r.next.RoundTrip(ctx, req, res) // a renewal itself, which holds the lock
	}
	r.c.mu.Lock()
	seen := r.c.renewals
	r.c.mu.Unlock()
	call := func(ctx context.Context) error {
		reflect.ValueOf(res).Elem().SetZero() // what an earlier answer left
		return r.next.RoundTrip(ctx, req, res)
	}
	once := call
	if repeatable(req) {
		once = func(ctx context.Context) error {
			var fault error // what the vCenter has answered: it would again
			err := fetch.Retry(ctx, r.c.opts.Retry, "vCenter", func(ctx context.Context) error {
				fault = nil
				err := call(ctx)
				if faultOf(err) != nil {
					fault = err
					return nil
				}
				return err
			})
			return cmp.Or(fault, err)
		}
	}
	err := once(ctx)
	if !isFault[*types.NotAuthenticated](err) {
		return err
	}
	r.c.mu.Lock()
	if r.c.renewals == seen {
		if again := r.c.login(ctx); again != nil {
			r.c.mu.Unlock()
			return errors.Join(err, again)
		}
		r.c.renewals++
	}
	r.c.mu.Unlock()
	return once(ctx)
}

// repeatable calls only read, or say what holds anyway.
func repeatable(req soap.HasFault) bool {
	name := strings.TrimSuffix(reflect.TypeOf(req).Elem().Name(), "Body")
	for _, prefix := range []string{"Retrieve", "Find", "Query", "Get", "CurrentTime", "HttpNfcLeaseProgress", "HttpNfcLeaseGetManifest"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
