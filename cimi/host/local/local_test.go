package local_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
)

type hosts struct{}

func (hosts) Open(t testing.TB) host.Host { return open(t, t.TempDir()) }

func (hosts) Reopen(t testing.TB, h host.Host) host.Host {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, h.(*local.Host).Dir())
}

func open(t testing.TB, dir string) *local.Host {
	t.Helper()
	h, err := local.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestHost(t *testing.T) { hosttest.Run(t, hosts{}) }

func isIntegrity(err error) bool {
	var e *ovf.IntegrityError
	return errors.As(err, &e)
}
