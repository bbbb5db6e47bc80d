package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// open opens a cloud for one side of an operation.
func (c *call) open(ctx context.Context, name string, side endpoint.Side) (*endpoint.Opened, error) {
	e, err := c.clouds.Open(ctx, name, c.endpointOptions(side))
	if err == nil && (e.Insecure || c.Bool("insecure")) {
		c.warnUnchecked(name)
	}
	return e, c.endpointError(err, side, name)
}

// warnUnchecked says, once, that the certificate of a server is not checked; a
// report has it as a finding too.
func (c *call) warnUnchecked(name string) {
	if _, told := c.unchecked.LoadOrStore(name, true); !told {
		fmt.Fprintf(c.err, "cimimove: %s: the server's certificate is not checked\n", name)
	}
}

func (c *call) endpointOptions(side endpoint.Side) endpoint.Options {
	o := endpoint.Options{
		Side: side, ConfigFile: c.String("config"), PasswordFile: c.String(string(side) + "-password-file"),
		CAFile: c.String("ca-file"), Pin: c.String("tls-pin"), Insecure: c.Bool("insecure"), Proxy: c.String("proxy"), HandshakeTimeout: c.Duration("tls-handshake-timeout"),
		StallTimeout: c.Duration("stall-timeout"), StateDir: c.String("state-dir"), OnRetry: c.retried,
		LeaveAbsent: c.Command.Name == "plan" || c.Bool("dry-run"),
	}
	if side == endpoint.Destination && (c.fromUs || c.String("via") == string(migrate.ViaResources)) {
		o.AllowSources = loopback()
	}
	return o
}

// retried logs a request that is made again. It is no error yet: of that there is
// one, when all attempts are over.
func (c *call) retried(a fetch.Attempt) {
	c.logger().Info("request is made again", "url", a.URL, "offset", a.Offset, "attempt", a.Number, "of", a.Of, "wait", a.Wait, "error", a.Err)
}

// endpointError says which of an endpoint's errors are the user's.
func (c *call) endpointError(err error, side endpoint.Side, name string) error {
	if err == nil {
		return nil
	}
	var config *endpoint.ConfigError
	switch {
	case errors.As(err, &config), errors.Is(err, endpoint.ErrUserInfo), errors.Is(err, endpoint.ErrUnknownKind), errors.Is(err, endpoint.ErrNotConfigured),
		errors.Is(err, endpoint.ErrNoFolder), errors.Is(err, endpoint.ErrNotURL), errors.Is(err, endpoint.ErrNotURI), errors.Is(err, endpoint.ErrNoHost),
		errors.Is(err, syscall.ENOTDIR): // local:FILE
		return usageError{err.Error()}
	}
	var named *endpoint.NameError
	if errors.As(err, &named) {
		err = named.Err
	}
	e := &migrate.Error{Step: migrate.StepDiscover, Side: migrate.Side(side), Object: shownName(name), Err: err}
	if errors.Is(err, local.ErrInUse) {
		e.Class, e.Advice = migrate.ClassRefused, "wait until it ends, or use the URL when that process is cimimove serve: one that serves a folder lets many use it"
	}
	return e
}

// cloud opens an endpoint as the engine takes it. A local cloud is named by its
// whole path, so that a run can be taken up again from another folder.
func (c *call) cloud(ctx context.Context, name string, side endpoint.Side) (migrate.Endpoint, error) {
	o, err := c.open(ctx, name, side)
	if err != nil {
		return migrate.Endpoint{}, err
	}
	e := migrate.Endpoint{Name: o.Name, Location: o.Location(), Provider: o.Provider, Limits: migrate.EndpointLimits{Bandwidth: o.Bandwidth, Transfers: o.Transfers, Disks: o.Disks},
		Insecure: (o.Insecure || c.Bool("insecure")) && strings.HasPrefix(o.URL, "https:")}
	switch {
	case o.Kind == endpoint.CIMI:
		e.URL = o.URL
		if o.Credentials != (endpoint.Credentials{}) {
			e.Login = func() (user, password, token string) {
				return o.Credentials.User, o.Credentials.Password, o.Credentials.Token
			}
		}
	case o.Kind == endpoint.Local && o.Name[0] != '@':
		e.Name = "local:" + o.Dir
	}
	return e, nil
}

// sides opens source and destination.
func (c *call) sides(ctx context.Context, source, destination string) (src, dst migrate.Endpoint, err error) {
	if src, err = c.cloud(ctx, source, endpoint.Source); err == nil {
		dst, err = c.cloud(ctx, destination, endpoint.Destination)
	}
	return src, dst, err
}

// bandwidth reads --bandwidth; 0 where it does not stand there.
func (c *call) bandwidth() (int64, error) {
	text := c.String("bandwidth")
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, usage("--bandwidth takes a size such as 50MiB (a second), not %q", text)
	}
	return int64(n), nil
}

// engine opens the journal; done closes it.
func (c *call) engine(ctx context.Context, events func(migrate.Event)) (e *migrate.Engine, done func(), err error) {
	dir := c.String("state-dir")
	if dir == "" {
		if dir, err = journal.DefaultDir(); err != nil {
			return nil, nil, usageError{err.Error()}
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, nil, usageError{err.Error()}
	}
	limits := &migrate.Limits{}
	if limits.Bandwidth, err = c.bandwidth(); err != nil {
		return nil, nil, err
	}
	signer, err := c.reportSigner()
	if err != nil {
		return nil, nil, err
	}
	counts, stop, err := c.metricsServer(ctx)
	if err != nil {
		return nil, nil, err
	}
	j, err := c.journal(ctx, dir)
	if err != nil {
		stop()
		return nil, nil, err
	}
	objects, err := c.objects()
	if err != nil {
		stop()
		return nil, nil, errors.Join(err, j.Close())
	}
	e = &migrate.Engine{
		Objects: objects, StageOnly: c.Bool("stage-only"),
		Journal: j, Events: events, StallTimeout: c.Duration("stall-timeout"), StopTimeout: c.Duration("stop-timeout"),
		Log: c.logger(), Limits: limits, Signer: signer,
		Relay: migrate.RelayOptions{Listen: c.String("relay-listen"), URL: c.String("relay-url")},
		Dial: func(ctx context.Context, name string, side migrate.Side) (migrate.Endpoint, error) {
			return c.cloud(ctx, name, endpoint.Side(side))
		},
	}
	if counts != nil {
		e.Observer = counts
	}
	return e, func() {
		stop()
		if err := j.Close(); err != nil {
			slog.Warn("journal", "error", err)
		}
	}, nil
}
