package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/beside"
	"github.com/cimimove/cimimove/ovf/cert"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/object"
	"github.com/cimimove/cimimove/ovf/remote"
	"github.com/cimimove/cimimove/ovf/web"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// pkg opens the package that a user names; reading it fails where its signature
// is not what --signature demands.
func (c *call) pkg(ctx context.Context, name string) (ovf.Package, error) {
	demand, err := c.demand()
	if err != nil {
		return nil, err
	}
	pkg, err := c.openPackage(ctx, name)
	if err != nil {
		return nil, err
	}
	return cert.Enforce(pkg, demand), nil
}

// whole is pkg, taken over, with the files that its descriptor names on web
// servers: those on the server that it comes from itself, others where --allow
// says so.
func (c *call) whole(pkg ovf.Package, name string) (ovf.Package, error) {
	if !remote.Needed(pkg.Envelope()) {
		return pkg, nil
	}
	opts, err := c.elsewhere(name)
	if err != nil {
		return nil, errors.Join(err, pkg.Close())
	}
	pkg, err = remote.Open(pkg, opts)
	if err != nil {
		err = &migrate.Error{Step: migrate.StepDiscover, Side: migrate.PackageSide, Object: shownName(name), Err: err}
		var refused *remote.RefusedError
		if errors.As(err, &refused) {
			err = hinted{err, "--allow " + remote.Rule + " fetches it"}
		}
		return nil, err
	}
	return pkg, nil
}

// offered refuses a --deployment-option that the package does not have, as import
// does: nothing is wrong with the package.
func (c *call) offered(pkg ovf.Package) error {
	if _, err := pkg.Envelope().Configuration(c.String("deployment-option")); err != nil {
		return &migrate.Error{Step: migrate.StepPlan, Side: migrate.PackageSide, Object: pkg.Name(), Class: migrate.ClassRefused, Err: err, Advice: "cimimove inspect lists them"}
	}
	return nil
}

// hinted is an error with what could be done about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }
func (h hinted) Hint() string  { return h.hint }

// elsewhere says what is fetched of the files that the package called name has
// on web servers.
func (c *call) elsewhere(name string) (remote.Options, error) {
	conn, err := c.connection()
	if err != nil {
		return remote.Options{}, err
	}
	client, err := conn.Client()
	if err != nil {
		return remote.Options{}, usageError{err.Error()}
	}
	policy, err := c.manifestPolicy()
	return remote.Options{Manifest: policy, Origin: name, Anywhere: slices.Contains(c.StringSlice("allow"), remote.Rule),
		Fetch: c.retries(client)}, err
}

// demand reads --signature, --trust and --allow-expired.
func (c *call) demand() (cert.Demand, error) {
	d := cert.Demand{AllowExpired: c.Bool("allow-expired")}
	var err error
	if d.Policy, err = cert.ParsePolicy(c.String("signature")); err != nil {
		return d, usageError{err.Error()}
	}
	if file := c.String("trust"); file != "" {
		if d.Trust, err = cert.ReadTrust(file); err != nil {
			return d, usage("--trust: %v", err)
		}
	}
	return d, nil
}

// openPackage opens the package that a user names, whatever signs it.
func (c *call) openPackage(ctx context.Context, name string) (ovf.Package, error) {
	policy, err := c.manifestPolicy()
	if err != nil {
		return nil, err
	}
	conn, err := c.connection()
	if err != nil {
		return nil, err
	}
	client, err := conn.Client()
	if err != nil {
		return nil, usageError{err.Error()}
	}
	if conn.Insecure && strings.HasPrefix(name, "https:") {
		c.warnUnchecked(fetch.Redact(name))
	}
	retry := c.retries(client)
	pkg, err := files.Open(ctx, name, files.OpenOptions{
		Manifest: policy, Stdin: c.in,
		Web: web.Options{Fetch: retry}, Object: object.Options{Connection: conn, Fetch: retry},
	})
	switch {
	case err == nil:
		return pkg, nil
	case errors.Is(err, files.ErrNotAPackage), errors.Is(err, os.ErrNotExist), errors.Is(err, fetch.ErrUserInfo), errors.Is(err, object.ErrNotAnObject):
		return nil, usageError{err.Error()}
	}
	var status *fetch.StatusError
	if errors.As(err, &status) && (status.StatusCode == http.StatusNotFound || status.StatusCode == http.StatusGone) {
		return nil, usageError{err.Error()} // as a file that is not there
	}
	return nil, &migrate.Error{Step: migrate.StepDiscover, Side: migrate.PackageSide, Object: shownName(name), Err: err}
}

// shownName is the name of a package as it is told: the query of a URL may be a
// signature, which is a secret.
func shownName(name string) string {
	if strings.Contains(name, "://") {
		return fetch.Redact(name)
	}
	return name
}

// connection is how servers of packages are reached: what --ca-file and its
// neighbours say.
func (c *call) connection() (fetch.Connection, error) {
	conn := fetch.Connection{Pin: c.String("tls-pin"), Insecure: c.Bool("insecure"), Proxy: c.String("proxy"), HandshakeTimeout: c.Duration("tls-handshake-timeout")}
	if file := c.String("ca-file"); file != "" {
		var err error
		if conn.CA, err = os.ReadFile(file); err != nil {
			return conn, usage("--ca-file: %v", err)
		}
	}
	return conn, nil
}

// retries are how requests are made again, which is logged.
func (c *call) retries(client *http.Client) fetch.Options {
	return fetch.Options{Client: client, StallTimeout: c.Duration("stall-timeout"), OnRetry: c.retried}
}

// objects says how object stores are reached.
func (c *call) objects() (object.Options, error) {
	conn, err := c.connection()
	return object.Options{Connection: conn, Fetch: c.retries(nil)}, err
}

// store opens the object store that s3:// names mean.
func (c *call) store() (*object.Store, error) {
	o, err := c.objects()
	if err != nil {
		return nil, err
	}
	return object.Dial(o)
}

func (c *call) manifestPolicy() (manifest.Policy, error) {
	p, err := manifest.ParsePolicy(c.String("manifest"))
	if err != nil {
		return p, usageError{err.Error()}
	}
	return p, nil
}

// checkOut refuses a place where nothing can be written, before anything is read.
func checkOut(out string) error {
	switch {
	case out == "-":
		return nil
	case object.Is(out):
		if _, err := object.Parse(out); err != nil {
			return usageError{err.Error()}
		}
		return nil
	case strings.Contains(out, "://"):
		return usage("%s: nothing is written there, but to a file, a folder, s3://BUCKET/KEY and -", fetch.Redact(out))
	}
	folder := filepath.Dir(filepath.Clean(out))
	if strings.EqualFold(filepath.Ext(out), ".ovf") {
		return checkFolder(out, filepath.Dir(folder)) // the last one is made
	}
	return cmp.Or(checkFolder(out, folder), checkPlace(out))
}

func checkFolder(out, folder string) error {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && !info.IsDir():
		return usage("%s: there is no folder %s", out, folder)
	case err != nil:
		return usageError{err.Error()}
	}
	return nil
}

// checkPlace lets what is no regular file pass: it is written into where only a
// stream is asked for.
func checkPlace(out string) error {
	if _, err := beside.Place(filepath.Clean(out)); err != nil && !errors.Is(err, beside.ErrSpecial) {
		return refusedPlace(err)
	}
	return nil
}

// checkFile is checkOut for what is one file on this machine.
func checkFile(out string) error {
	switch info, err := os.Stat(out); {
	case out == "-":
		return nil
	case strings.Contains(out, "://"):
		return usage("%s: this is written to a file or to -", fetch.Redact(out))
	case err == nil && info.IsDir(), strings.HasSuffix(out, "/"):
		return usage("%s is a folder, not a file", out)
	}
	return cmp.Or(checkFolder(out, filepath.Dir(filepath.Clean(out))), checkPlace(out))
}

// refusedPlace is why nothing is put at a place: a link that is not followed is the
// package's end of the matter, a link that leads nowhere the user's.
func refusedPlace(err error) error {
	if errors.Is(err, beside.ErrForeignLink) {
		return err
	}
	return usageError{err.Error()}
}
