package vsphere

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// lease is an HttpNfcLease: the right to send or fetch the files of machines
// for as long as progress is told. It is kept alive by a timer of its own,
// whether bytes flow or not (AC-05), and what it tells never goes back.
type lease struct {
	*nfc.Lease
	h    *Host
	info types.HttpNfcLeaseInfo

	percent atomic.Int32
	stop    chan struct{}
	stopped sync.WaitGroup

	mu      sync.Mutex
	lost    error // why it does not live any more
	ended   bool
	clients map[string]*http.Client // by thumbprint
	lose    context.CancelCauseFunc

	asked     sync.Once
	manifests bool // whether it tells digests of what it takes, as far as is known
}

// readyTimeout bounds the wait for a lease: the vCenter makes machines first.
const readyTimeout = 10 * time.Minute

// open waits until a lease is ready and keeps it alive. ctx of the second
// result ends when the lease is lost.
func (h *Host) open(ctx context.Context, l *nfc.Lease) (*lease, context.Context, error) {
	wait, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	info, err := h.ready(wait, l)
	if err != nil {
		if wait.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("the lease is not ready after %v: %w", readyTimeout, err)
		}
		// Nothing is made yet, or vCenter takes it back.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		if abort := l.Abort(clean, nil); abort != nil && !isFault[*types.InvalidState](abort) && !isFault[*types.ManagedObjectNotFound](abort) {
			err = errors.Join(err, explain(abort))
		}
		return nil, nil, err
	}
	out := &lease{Lease: l, h: h, info: *info, stop: make(chan struct{}), clients: map[string]*http.Client{}}
	ctx, out.lose = context.WithCancelCause(ctx)
	out.stopped.Add(1)
	go out.keep()
	return out, ctx, nil
}

// ready waits for the state ready.
func (h *Host) ready(ctx context.Context, l *nfc.Lease) (*types.HttpNfcLeaseInfo, error) {
	var last mo.HttpNfcLease
	err := property.Wait(ctx, property.DefaultCollector(h.conn.Client), l.Reference(), []string{"state", "error"}, func(changes []types.PropertyChange) bool {
		for _, c := range changes {
			switch v := c.Val.(type) {
			case types.HttpNfcLeaseState:
				last.State = v
			case types.LocalizedMethodFault:
				last.Error = &v
			}
		}
		return last.State != "" && last.State != types.HttpNfcLeaseStateInitializing
	})
	if err != nil {
		return nil, explain(err)
	}
	if last.State != types.HttpNfcLeaseStateReady {
		return nil, h.leaseError(ctx, l, last)
	}
	m, err := l.Properties(ctx, "info")
	if err != nil {
		return nil, explain(err)
	}
	if m.Info == nil {
		return nil, errors.New("the lease is ready and says nothing of its files")
	}
	return m.Info, nil
}

// leaseError is why a lease is in the state error.
func (h *Host) leaseError(ctx context.Context, l *nfc.Lease, last mo.HttpNfcLease) error {
	if last.Error == nil {
		if m, err := l.Properties(ctx, "error"); err == nil {
			last.Error = m.Error
		}
	}
	if last.Error == nil {
		return fmt.Errorf("the lease is in the state %s", last.State)
	}
	return explain(fmt.Errorf("the vCenter refuses: %w", task.Error{LocalizedMethodFault: last.Error}))
}

// interval of telling progress: a few times within what the lease lives without.
func (l *lease) interval() time.Duration {
	timeout := time.Duration(l.info.LeaseTimeout) * time.Second
	if timeout <= 0 {
		timeout = 5 * time.Minute
	}
	return min(timeout/4, 30*time.Second)
}

func (l *lease) keep() {
	defer l.stopped.Done()
	tick := time.NewTicker(l.interval())
	defer tick.Stop()
	limit := time.Duration(max(l.info.LeaseTimeout, 60)) * time.Second
	last := time.Now()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), max(l.interval(), 10*time.Second))
		_, err := methods.HttpNfcLeaseProgress(ctx, l.h.conn, &types.HttpNfcLeaseProgress{This: l.Reference(), Percent: l.percent.Load()})
		cancel()
		switch {
		case err == nil:
			last = time.Now()
		case isFault[*types.InvalidState](err), isFault[*types.ManagedObjectNotFound](err), isFault[*types.Timedout](err), time.Since(last) > limit:
			l.fail(fmt.Errorf("the lease was lost: %w", l.why(err)))
			return
		}
	}
}

// cause is why a transfer has failed: the lease knows more than the host, which
// answers a full datastore with no more than a status.
func (l *lease) cause(err error) error {
	if lost := l.failure(); lost != nil {
		return lost
	}
	var status *fetch.StatusError
	if !errors.As(err, &status) || status.StatusCode < http.StatusInternalServerError {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if m, e := l.Properties(ctx, "error"); e == nil && m.Error != nil {
		return explain(fmt.Errorf("%w: %w", err, task.Error{LocalizedMethodFault: m.Error}))
	}
	return err
}

// why asks the lease itself, which knows more than a call that it refuses.
func (l *lease) why(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if m, e := l.Properties(ctx, "state", "error"); e == nil && m.Error != nil {
		return errors.Join(fmt.Errorf("%s (%s)", m.Error.LocalizedMessage, kind(m.Error.Fault)), explain(err))
	}
	return explain(err)
}

func (l *lease) fail(err error) {
	l.mu.Lock()
	if l.lost == nil {
		l.lost = err
	}
	l.mu.Unlock()
	l.lose(err)
}

func (l *lease) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// progress tells a percentage at the next opportunity; a lower one than before
// does not count.
func (l *lease) progress(done, total int64) {
	if total <= 0 {
		return
	}
	p := int32(min(100, done*100/total))
	for {
		was := l.percent.Load()
		if p <= was || l.percent.CompareAndSwap(was, p) {
			return
		}
	}
}

// attests asks whether the lease tells of digests at all: an account may lack
// the privilege, and of a lease of an import not every vCenter does.
func (l *lease) attests(ctx context.Context) bool {
	l.asked.Do(func() {
		_, err := l.GetManifest(ctx)
		l.manifests = err == nil
	})
	return l.manifests
}

// cleanTimeout bounds what is done after a failure.
const cleanTimeout = 2 * time.Minute

// complete ends the lease with success.
func (l *lease) complete(ctx context.Context) error {
	l.end()
	l.percent.Store(100)
	if err := l.failure(); err != nil {
		return err
	}
	if err := l.Complete(ctx); err != nil {
		return fmt.Errorf("ending the lease: %w", explain(err))
	}
	return nil
}

// abort ends the lease; an import takes back what it has made.
func (l *lease) abort(ctx context.Context) error {
	l.end()
	err := l.Abort(ctx, nil)
	if isFault[*types.InvalidState](err) || isFault[*types.ManagedObjectNotFound](err) {
		return nil // it has ended already
	}
	return explain(err)
}

// end stops keeping alive.
func (l *lease) end() {
	l.mu.Lock()
	ended := l.ended
	l.ended = true
	l.mu.Unlock()
	if !ended {
		close(l.stop)
	}
	l.stopped.Wait()
	for _, c := range l.clients {
		c.CloseIdleConnections()
	}
}

// device finds the file of the lease with a key, MACHINE/DEVICE; nil where the
// lease has none.
func (l *lease) device(key string) *types.HttpNfcLeaseDeviceUrl {
	for i, u := range l.info.DeviceUrl {
		if strings.HasSuffix(u.ImportKey, "/"+key) || u.ImportKey == key {
			return &l.info.DeviceUrl[i]
		}
	}
	return nil
}

// client is for the host that a file's address names.
func (l *lease) client(u *types.HttpNfcLeaseDeviceUrl) (*http.Client, *url.URL, error) {
	at, err := l.h.conn.ParseURL(u.Url) // "*" stands for the server itself
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" {
		return nil, nil, fmt.Errorf("the lease gives the address %s", fetch.Redact(u.Url))
	}
	thumbprint := u.SslThumbprint
	if strings.EqualFold(at.Host, l.h.conn.URL().Host) {
		thumbprint = "" // the vCenter itself, which is trusted as the user says
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := at.Host + " " + thumbprint
	if c := l.clients[key]; c != nil {
		return c, at, nil
	}
	t, err := l.h.opts.hostTransport(thumbprint, strings.EqualFold(at.Host, l.h.conn.URL().Host))
	if err != nil {
		return nil, nil, err
	}
	t.MaxIdleConnsPerHost = 16
	blockwise(t)
	c := &http.Client{Transport: t, Jar: l.h.conn.Client.Client.Jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	l.clients[key] = c
	return c, at, nil
}
