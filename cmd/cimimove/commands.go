package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cimimove/cimimove/migrate/evacuate"
)

// newApp is the table of commands (cli.md, "Commands"): each with what it
// takes, an example, and its options.
func newApp(out, stderr io.Writer, do func(name string, a action) cli.ActionFunc) *cli.App {
	command := func(name, args, usage, example string, a action, options ...[]cli.Flag) *cli.Command {
		return &cli.Command{
			Name: name, ArgsUsage: args, Usage: usage, Description: "Example:\n  " + strings.ReplaceAll(example, "\n", "\n  "),
			Flags: flags(options...), Action: do(name, a), OnUsageError: usageFault, HideHelpCommand: true,
		}
	}
	str := func(name, value, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Value: value, Usage: usage}
	}
	boolean := func(name, usage string) cli.Flag { return &cli.BoolFlag{Name: name, Usage: usage} }
	list := func(name, usage string) cli.Flag { return &cli.StringSliceFlag{Name: name, Usage: usage} }
	number := func(name, usage string) cli.Flag { return &cli.IntFlag{Name: name, Usage: usage} }

	via := []cli.Flag{
		str("via", "auto", "the way: auto, direct, relay, stage or resources"), str("verify", "full", "proof: none, digest (as the cloud says) or full (read anew)"),
		str("stage", "", "`PLACE` where the package waits between export and import: a folder or s3://bucket/prefix"), boolean("stage-only", "end when the package is staged; resume goes on, any time later"),
		boolean("dry-run", "show what would be done; write nothing"), str("plan", "", "`FILE` of a saved plan: what is moved, and how; refused when the clouds have changed since"),
		boolean("warm", "copy the disks while the machines run, and send what has changed when they are at rest; where both clouds offer it"),
		str("quiesce", "graceful", "running machines: graceful (asked to stop), force (switched off when they do not in time) or refuse (not stopped)"),
		&cli.DurationFlag{Name: "stop-timeout", Value: 5 * time.Minute, Usage: "how long machines may take to stop"},
		str("source-after", "keep", "the source when its copy is verified: keep, start (what ran runs again), stop or delete"),
	}
	query := []cli.Flag{
		list("filter", "`EXPRESSION` of DSP0263 4.1.6.1, such as \"state='STARTED'\""), str("select", "", "`ATTRIBUTES` to read, separated by commas"),
		str("expand", "", "`ATTRIBUTES` whose references to expand"), number("first", "first entry, from 1"), number("last", "last entry"),
		str("orderby", "", "`ATTRIBUTE:asc` or :desc, separated by commas"),
	}
	from := []cli.Flag{str("from", "", "the input is of this `FORMAT`; else its content decides")}

	app := &cli.App{
		Name: "cimimove", Usage: "move workloads between clouds: OVF packages in and out, CIMI Systems from one to another", UsageText: "cimimove COMMAND [options] [arguments]",
		Writer: out, ErrWriter: stderr, HideVersion: true, HideHelpCommand: true, DisableSliceFlagSeparator: true, OnUsageError: usageFault,
		ExitErrHandler: func(*cli.Context, error) {},
		Flags:          outputFlags(),
		Commands: []*cli.Command{
			command("inspect", "PACKAGE", "what is in a package, reading no more than its descriptor", "cimimove inspect app.ova\ncimimove inspect https://host/app.ova --output json", inspect, packageFlags(), connectionFlags()),
			command("validate", "PACKAGE", "every finding; checks digests, references and disks", "cimimove validate app.ova --strict", validatePackage, packageFlags(), connectionFlags(), policyFlags(),
				[]cli.Flag{list("for", "also what `TARGET` would not take as it is: vmware, virtualbox, ovirt, kvm or cimi")}),
			command("convert", "PACKAGE [OUT]", "write a package anew: folder or OVA, edited, its disks in another format, signed",
				"cimimove convert app.ova folder/ --disk-format raw\ncimimove convert app.ova small.ova --cpus 2 --memory 4GiB --net '*=lan'\ncimimove convert app.ova --ovf-version 2.0 --dry-run", convertPackage,
				packageFlags(), connectionFlags(), editFlags(), packingFlags(), []cli.Flag{boolean("dry-run", "show what would change in the descriptor; write nothing"),
					list("allow", "OVF-REF-009 as `RULE` fetches files that the descriptor names on other servers")}),
			command("sign", "PACKAGE [OUT]", "sign a package, in its place without OUT", "cimimove sign app.ova --sign-key key.pem --sign-cert cert.pem", sign, signingFlags(), connectionFlags()),
			command("verify", "PACKAGE", "check the signature of a package, and its digests", "cimimove verify app.ova --trust vendor.pem", verify, packageFlagsWith("require"), connectionFlags()),
			command("environment", "PACKAGE [OUT]", "the OVF environment of each machine: a document, or the ISO image that carries it", "cimimove environment app.ova --system web --prop hostname=www\ncimimove environment app.ova web.iso --system web", environment,
				packageFlags(), connectionFlags(), []cli.Flag{str("system", "", "`ID` of the machine; all of them otherwise"), str("deployment-option", "", "`ID` of the configuration"),
					list("prop", "`KEY=VALUE` (or KEY@FILE) of an OVF property"), str("props", "", "`FILE` of OVF properties, KEY=VALUE a line"), str("locale", "", "`LOCALE` of the platform, such as de-DE")}),
			command("template", "[PACKAGE] [OUT]", "OVF to CIMI SystemTemplate and back", "cimimove template app.ovf --format xml\ncimimove template --to-ovf template.json app.ovf", template,
				packageFlags(), connectionFlags(), []cli.Flag{str("format", "json", "json or xml"), str("to-ovf", "", "SystemTemplate `FILE` to turn into a descriptor"), str("deployment-option", "", "`ID` of the configuration")}),
			{Name: "disk", Usage: "virtual disks by themselves", Flags: outputFlags(), HideHelpCommand: true, OnUsageError: usageFault, Action: needsCommand, Subcommands: []*cli.Command{
				command("info", "IMAGE", "format, sizes, and the content digest on request", "cimimove disk info disk.vmdk --digest", diskInfo, from, []cli.Flag{str("digest", "", "`KIND` of digest: content (the same in every format, the default) or sha256 (of the content as one file)")}),
				command("convert", "IN OUT", "to another format; - is a stream", "cimimove disk convert disk.vmdk disk.raw --to raw\ncat disk.vmdk | cimimove disk convert - disk.raw --to raw", diskConvert, from,
					[]cli.Flag{str("to", "", "`FORMAT`: raw, qcow2, vmdk, vmdk-sparse, vhd, vhdx or vdi"), number("compress", "compression `LEVEL`: 0 stored, 1 fastest, 9 smallest"),
						str("variant", "", "`VARIANT` of the format: dynamic or fixed (vhd, vhdx, vdi), zlib or zstd (qcow2, compressed)"), str("digest", "", "`KIND` of digest to take in the same pass: content (the default), or sha256 for that of the file written as well"),
						str("size", "", "virtual `SIZE` of a raw disk on standard input")}),
				command("compare", "A B", "same content? the first differing offset otherwise", "cimimove disk compare disk.vmdk disk.raw", diskCompare, from),
			}},
			command("ls", "ENDPOINT [COLLECTION]", "what a cloud holds", "cimimove ls http://127.0.0.1:8780/cloudEntryPoint systems", ls, connectionFlags(), query),
			command("get", "ENDPOINT ID", "one resource as the cloud gives it", "cimimove get local:cloud systems/ID --format xml", get, connectionFlags(),
				[]cli.Flag{str("format", "json", "json or xml"), str("select", "", "`ATTRIBUTES` to read"), str("expand", "", "`ATTRIBUTES` whose references to expand"), boolean("raw", "what came over the wire, undecoded")}),
			command("import", "PACKAGE ENDPOINT", "a package becomes a System", "cimimove import app.ova local:cloud --net lan=prod", importPackage, packageFlags(), connectionFlags(), mappingFlags(), transferFlags(), policyFlags(),
				[]cli.Flag{str("as", "system", "system, or template for a SystemTemplate")}),
			command("export", "ENDPOINT SYSTEM OUT", "a System becomes a package", "cimimove export local:cloud webshop webshop.ova", exportSystem, connectionFlags(), packingFlags()),
			command("migrate", "SOURCE SYSTEM DESTINATION | --plan FILE", "a System leaves one cloud and arrives, proved, in another",
				"cimimove migrate http://127.0.0.1:8780/cloudEntryPoint webshop http://127.0.0.1:8781/cloudEntryPoint --verify full\ncimimove migrate local:east webshop local:west --warm --power-on\ncimimove migrate --plan plan.json", migrateSystem, connectionFlags(), mappingFlags(), transferFlags(), policyFlags(), stateFlags(), hookFlags(), reportFlags(), via),
			command("plan", "RUNBOOK | SOURCE SYSTEM DESTINATION | --plan FILE", "what would be done; nothing is written", "cimimove plan local:east webshop local:west --save plan.json\ncimimove plan runbook.yaml", plan, connectionFlags(), mappingFlags(), transferFlags(), policyFlags(), stateFlags(), hookFlags(), via,
				[]cli.Flag{str("save", "", "write the plan to `FILE`, for migrate --plan"), str("html", "", "write the plan of a runbook to `FILE` as one HTML page"), list("var", "`NAME=VALUE` of a variable of the runbook")}),
			command("run", "[RUNBOOK]", "move what a runbook lists; what was done before is not done again", "cimimove run evacuation.yaml --output json", runRunbook, connectionFlags(), transferFlags(), policyFlags(), stateFlags(),
				[]cli.Flag{number("parallel-systems", "Systems moved at the same time"), list("var", "`NAME=VALUE` of a variable of the runbook"), boolean("schema", "print the JSON Schema of runbooks"),
					str("listen", "", "`ADDRESS` of a web page that shows the run"), str("page-token-file", "", "`FILE` of the token that allows requests from the page; or CIMIMOVE_PAGE_TOKEN"),
					str("report", "", "write the report to `FILE` as one HTML page"), boolean("accept-eulas", "accept the licences of the packages")}),
			command("worker", "", "one more machine for runbooks' work: takes Systems from a queue until interrupted", "cimimove worker --queue postgres://db.example/cimimove", worker, connectionFlags(), transferFlags(), policyFlags(), stateFlags(),
				[]cli.Flag{number("parallel-systems", "Systems this worker moves at the same time"), boolean("accept-eulas", "accept the licences of the packages")}),
			command("pause", "RUN", "let what is under way end and begin nothing more of a runbook; resume goes on", "cimimove pause 5f0a3c9e2b71", control(func(ctx context.Context, c evacuate.Control, run, _ string) error { return c.Pause(ctx, run) }), stateFlags()),
			command("cancel", "RUN SYSTEM", "take a System out of a runbook under way; what was done for it is undone", "cimimove cancel 5f0a3c9e2b71 app-007", control(func(ctx context.Context, c evacuate.Control, run, system string) error {
				return c.Cancel(ctx, run, system)
			}), stateFlags()),
			command("retry", "RUN [SYSTEM]", "try what failed again: one System of a runbook, or all", "cimimove retry 5f0a3c9e2b71", control(func(ctx context.Context, c evacuate.Control, run, system string) error {
				return c.Retry(ctx, run, system)
			}), stateFlags()),
			command("status", "[RUN]", "runs and how far they are", "cimimove status --output json\ncimimove status 5f0a3c9e2b71 --watch", status, stateFlags(), []cli.Flag{boolean("watch", "follow a runbook until nothing of it is under way")}),
			command("resume", "RUN", "go on with a run or a runbook that was interrupted", "cimimove resume 20261124-031500-a1b2", resume, connectionFlags(), transferFlags(), stateFlags(), hookFlags(), reportFlags(),
				[]cli.Flag{list("prop", "`KEY=VALUE` of an OVF property, when the import begins anew"), str("props", "", "`FILE` of OVF properties")}),
			command("rollback", "RUN", "undo a run: nothing of it stays at the destination", "cimimove rollback 20261124-031500-a1b2", rollback, connectionFlags(), stateFlags(), reportFlags()),
			command("report", "RUN | FILE", "what a run has proved; the signature of a report in a file", "cimimove report RUN --output json\ncimimove report report.json --key signer.pub.pem", report, stateFlags(),
				[]cli.Flag{str("key", "", "PEM `FILE` of the public key, or certificate, of who signed")}, reportFlags()),
			command("gc", "", "remove what failed runs have left at their clouds", "cimimove gc --dry-run\ncimimove gc --run 20261124-031500-a1b2", gc, connectionFlags(), stateFlags(), []cli.Flag{str("run", "", "this `RUN` only, also when it could be resumed"), boolean("dry-run", "list, remove nothing")}),
			command("serve", "ENDPOINT", "an endpoint as a CIMI cloud on the network", "cimimove serve local:cloud --listen 127.0.0.1:8780", serve, connectionFlags(), []cli.Flag{
				str("listen", "127.0.0.1:8780", "`ADDRESS` to listen on"), str("tls-cert", "", "PEM `FILE` of the server's certificate"), str("tls-key", "", "PEM `FILE` of its key"),
				str("users", "", "`FILE` of users, NAME:ROLE:PASSWORD a line"), str("base-url", "", "`URL` by which clients reach this server"),
				list("allow-source", "`NETWORK` that imports may fetch from; loopback when serving on loopback"), list("allow-source-dir", "`DIR` below which file: sources may lie"),
			}),
			command("demo", "", "two clouds, a sample System, one verified migration", "cimimove demo", demo, []cli.Flag{str("folder", "", "`DIR` for it all; default a new one")}, stateFlags(), connectionFlags(), transferFlags()),
			command("completion", "SHELL", "a completion script for bash, zsh or fish", "source <(cimimove completion bash)", completion),
			{Name: "complete-words", Hidden: true, ArgsUsage: "WORD…", Action: do("complete-words", completeWords), HideHelpCommand: true},
			command("version", "", "print the version", "cimimove version", version),
		},
	}
	app.Action = func(c *cli.Context) error {
		if c.Bool("version") {
			return do("version", version)(c)
		}
		if c.String("output") != "text" {
			return usage("no command given; cimimove --help lists them")
		}
		return cli.ShowAppHelp(c)
	}
	return app
}

// needsCommand answers "cimimove disk" without a subcommand.
func needsCommand(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage("%s %s is not a command; cimimove %s --help lists them", c.Command.Name, c.Args().First(), c.Command.Name)
	}
	if c.String("output") != "text" {
		return usage("%s needs a command; cimimove %s --help lists them", c.Command.Name, c.Command.Name)
	}
	return cli.ShowSubcommandHelp(c)
}

func usageFault(_ *cli.Context, err error, _ bool) error {
	return usageError{strings.TrimPrefix(fmt.Sprint(err), "flag provided but ")}
}

// build says which version this is, from what the Go tools record.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && (v == "" || v == "(devel)") {
			v = s.Value[:12]
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v
}
