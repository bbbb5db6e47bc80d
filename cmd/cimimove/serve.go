package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/migrate/board"
)

// entryPath is where a served cloud's Cloud Entry Point is.
const entryPath = "/cloudEntryPoint"

// served is the document of serve, printed when the cloud can be reached.
type served struct {
	Endpoint string `json:"endpoint"`
	URL      string `json:"url"`
}

func serve(ctx context.Context, c *call) (result, error) {
	ln, err := net.Listen("tcp", c.String("listen"))
	if err != nil {
		return result{}, usage("--listen: %v", err)
	}
	defer ln.Close()
	o := c.endpointOptions(endpoint.Source)
	if o.AllowSources, err = sources(c.StringSlice("allow-source"), ln.Addr()); err != nil {
		return result{}, err
	}
	o.AllowDirs = c.StringSlice("allow-source-dir")
	opts := server.Options{BaseURL: c.String("base-url"), Logger: c.logger()}
	if file := c.String("users"); file != "" {
		if opts.Users, err = users(file); err != nil {
			return result{}, err
		}
	}
	name := c.Args().First()
	cloud, err := c.clouds.Open(ctx, name, o)
	if err != nil {
		return result{}, c.endpointError(err, endpoint.Source, name)
	}
	srv, err := newServer(cloud.Provider, opts)
	if err != nil {
		return result{}, usageError{err.Error()}
	}
	srv.Handler = withPage(srv.Handler, board.Handler(board.OfJobs(name, cloud.Provider), board.Options{}))
	// What net/http has to say, such as of clients that do not trust the
	// certificate, goes where the rest of the log goes.
	srv.ErrorLog = slog.NewLogLogger(opts.Logger.Handler(), slog.LevelWarn)
	scheme := "http"
	if cert, key := c.String("tls-cert"), c.String("tls-key"); cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return result{}, usage("--tls-cert, --tls-key: %v", err)
		}
		scheme = "https"
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	doc := &served{Endpoint: name, URL: scheme + "://" + ln.Addr().String() + entryPath}
	// Printed now, not at the end: what follows may last for months.
	if err := c.printer.result(doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s is served at %s\n", doc.Endpoint, doc.URL)
		return err
	}, nil); err != nil {
		return result{}, err
	}
	return result{}, server.Serve(ctx, srv, ln)
}

func newServer(p cimi.Provider, o server.Options) (*http.Server, error) {
	h, err := server.New(p, o)
	if err != nil {
		return nil, err
	}
	return server.HTTPServer(h), nil
}

// sources are the networks that imports may fetch from. Serving on loopback
// allows loopback: whoever can reach the server can reach those too.
func sources(given []string, listen net.Addr) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range given {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, addrErr := netip.ParseAddr(s)
			if addrErr != nil {
				return nil, usage("--allow-source: %q is not a network such as 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p)
	}
	if a, ok := listen.(*net.TCPAddr); ok && a.IP.IsLoopback() {
		out = append(out, loopback()...)
	}
	return out, nil
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

func users(file string) ([]server.User, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usage("--users: %v", err)
	}
	defer f.Close()
	all, err := server.ParseUsers(f)
	if err != nil {
		return nil, usage("--users: %s: %v", file, err)
	}
	if len(all) == 0 {
		return nil, usage("--users: %s names nobody, so nobody could come in", file)
	}
	return all, nil
}

// logger writes what --log-level lets through to standard error.
func (c *call) logger() *slog.Logger {
	level := slog.LevelWarn
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		level = slog.LevelWarn
	}
	if c.Bool("verbose") {
		level = min(level, slog.LevelInfo)
	}
	if c.Bool("quiet") {
		level = slog.LevelError
	}
	o := &slog.HandlerOptions{Level: level}
	if c.String("log-format") == "json" {
		return slog.New(slog.NewJSONHandler(c.err, o))
	}
	return slog.New(slog.NewTextHandler(c.err, o))
}

// serveUntil serves p on ln in the background; stop ends it.
func serveUntil(ctx context.Context, p cimi.Provider, ln net.Listener) (stop func() error, err error) {
	srv, err := newServer(p, server.Options{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, srv, ln) }()
	return func() error {
		cancel()
		err := <-ended
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		return err
	}, nil
}
