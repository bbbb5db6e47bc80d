package main

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/providertest/bare"
	"github.com/cimimove/cimimove/cimi/server"
)

// scriptBare serves a local cloud as public ones are, until it is served anew
// or the script ends.
func scriptBare(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bare NAME DIR [nosystems] [1.x]")
	}
	ctx, dir := context.Background(), ts.MkAbs(args[1])
	h, err := local.Open(ctx, dir)
	ts.Check(err)
	p, err := provider.New(ctx, h, provider.Options{Database: filepath.Join(dir, "cimi.db"),
		AllowSources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, StallTimeout: 5 * time.Second})
	ts.Check(err)
	handler, err := server.New(bare.Provider{Provider: p, NoSystems: slices.Contains(args, "nosystems")}, server.Options{})
	ts.Check(err)
	s := httptest.NewServer(handler)
	ts.Defer(func() {
		s.Close()
		p.Close()
	})
	entry := "/cimi/2/cloudEntryPoint"
	if slices.Contains(args, "1.x") {
		entry = "/cimi/1/cloudEntryPoint"
	}
	ts.Setenv(args[0], s.URL+entry)
}
