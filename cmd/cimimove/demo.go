package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/files"
)

// demonstration is the document of demo: the report of its migration.
type demonstration struct {
	Folder string          `json:"folder"`
	Clouds []served        `json:"clouds"`
	Report *migrate.Report `json:"report,omitempty"`
}

// demo does what the tool is for, with everything real: an appliance is built,
// two clouds are served on loopback ports, the appliance is imported into the
// first over HTTP, migrated to the second over HTTP, and verified.
func demo(ctx context.Context, c *call) (r result, err error) {
	folder := c.String("folder")
	if folder == "" {
		if folder, err = os.MkdirTemp("", "cimimove-demo-"); err != nil {
			return result{}, err
		}
	} else if err = os.MkdirAll(folder, 0o755); err != nil {
		return result{}, err
	}
	doc := &demonstration{Folder: folder}
	say := func(format string, a ...any) {
		if !c.Bool("quiet") {
			fmt.Fprintf(c.err, format+"\n", a...)
		}
	}
	appliance := filepath.Join(folder, "webshop.ova")
	say("building the appliance %s: two machines, three disks, two networks", appliance)
	if err := buildAppliance(ctx, appliance); err != nil {
		return result{}, err
	}
	var clouds [2]migrate.Endpoint
	for i, name := range []string{"east", "west"} {
		e, stop, failed := c.demoCloud(ctx, filepath.Join(folder, name))
		if failed != nil {
			return result{}, failed
		}
		defer func() { err = errors.Join(err, stop()) }()
		clouds[i] = e
		doc.Clouds = append(doc.Clouds, served{"local:" + filepath.Join(folder, name), e.URL})
		say("cloud %s is served at %s", name, e.URL)
	}
	pkg, err := files.Open(ctx, appliance, files.OpenOptions{})
	if err != nil {
		return result{}, err
	}
	say("importing it into east")
	imported, err := migrate.ImportPackage(ctx, pkg, clouds[0], migrate.ImportOptions{Events: c.show.event})
	if err != nil {
		return result{}, err
	}
	if err := c.Context.Set("state-dir", filepath.Join(folder, "state")); err != nil {
		return result{}, err
	}
	engine, done, err := c.engine(ctx, c.show.event)
	if err != nil {
		return result{}, err
	}
	defer done()
	say("migrating %s from east to west, and reading west anew", imported.System)
	plan, err := migrate.NewPlan(ctx, migrate.Options{Source: clouds[0], Destination: clouds[1], System: imported.System})
	if err != nil {
		return result{}, err
	}
	doc.Report, err = engine.Start(ctx, plan)
	return result{doc, doc.text}, err
}

func (d *demonstration) text(w io.Writer) error {
	if d.Report != nil {
		if err := d.Report.Text(w); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\nEverything is in %s:\n", d.Folder)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  webshop.ova\tthe appliance; look into it with\tcimimove inspect %s\n", filepath.Join(d.Folder, "webshop.ova"))
	fmt.Fprintf(t, "  east, west\tthe clouds; list one with\tcimimove ls local:%s machines\n", filepath.Join(d.Folder, "west"))
	fmt.Fprintf(t, "  state\tthe journal; read it with\tcimimove status --state-dir %s\n", filepath.Join(d.Folder, "state"))
	return t.Flush()
}

// demoCloud serves the embedded cloud in dir on a free loopback port and
// connects to it as a stranger would.
func (c *call) demoCloud(ctx context.Context, dir string) (migrate.Endpoint, func() error, error) {
	local, err := c.clouds.Open(ctx, "local:"+dir, endpoint.Options{AllowSources: loopback()})
	if err != nil {
		return migrate.Endpoint{}, nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return migrate.Endpoint{}, nil, err
	}
	stop, err := serveUntil(ctx, local.Provider, ln)
	if err != nil {
		return migrate.Endpoint{}, nil, errors.Join(err, ln.Close())
	}
	e, err := c.cloud(ctx, "http://"+ln.Addr().String()+entryPath, endpoint.Source)
	if err != nil {
		return e, nil, errors.Join(err, stop())
	}
	return e, stop, nil
}
