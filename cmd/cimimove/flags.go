package main

import (
	"time"

	"github.com/urfave/cli/v2"
)

// The options that many commands share, by what they are about (cli.md,
// "Options that many commands share"). A command takes the groups it uses.

func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "form of the result: text, json or yaml"},
		&cli.StringFlag{Name: "progress", Value: "auto", Usage: "auto, tty, plain, json or none"},
		&cli.StringFlag{Name: "log-level", Value: "warn", Usage: "debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress, errors only"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log at level info"},
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "answer yes to questions"},
		&cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version"},
		&cli.StringFlag{Name: "config", Usage: "configuration `FILE` (default ~/.config/cimimove/config.yaml)"},
	}
}

func connectionFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "ca-file", Usage: "PEM `FILE` of certificate authorities to trust"},
		&cli.StringFlag{Name: "tls-pin", Usage: "accept only the server certificate with this digest, `sha256:HEX`"},
		&cli.DurationFlag{Name: "tls-handshake-timeout", Value: 20 * time.Second, Usage: "give up on a server that does not end the TLS handshake in this time"},
		&cli.BoolFlag{Name: "insecure", Usage: "do not check server certificates (warned of, and recorded in the report)"},
		&cli.StringFlag{Name: "proxy", Usage: "HTTP proxy `URL`, or none; default from the environment (HTTPS_PROXY, NO_PROXY)"},
		&cli.StringFlag{Name: "source-password-file", Usage: "`FILE` holding the source's password"},
		&cli.StringFlag{Name: "destination-password-file", Usage: "`FILE` holding the destination's password"},
		&cli.DurationFlag{Name: "stall-timeout", Value: time.Minute, Usage: "give up on a transfer that moves no byte for this long"},
	}
}

func packageFlags() []cli.Flag { return packageFlagsWith("verify") }

// packageFlagsWith has another default of --signature.
func packageFlagsWith(signature string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "manifest", Value: "verify", Usage: "digests: require, verify (where there are any) or ignore"},
		&cli.StringFlag{Name: "signature", Value: signature, Usage: "signature: require, verify (where there is one) or ignore"},
		&cli.StringFlag{Name: "trust", Usage: "PEM `FILE` of signers to trust; others are refused then"},
		&cli.BoolFlag{Name: "allow-expired", Usage: "take a signature whose certificate is not valid any more"},
	}
}

// editFlags are what convert changes in a descriptor.
func editFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "ovf-version", Usage: "`VERSION` of the descriptor: 1.1 or 2.0"},
		&cli.StringFlag{Name: "name", Usage: "`NAME` of the outermost system"},
		&cli.StringSliceFlag{Name: "net", Usage: "`OLD=NEW`: rename a network; *=NEW for all others, which become one"},
		&cli.StringSliceFlag{Name: "prop", Usage: "`KEY=VALUE` (or KEY@FILE) of an OVF property"},
		&cli.StringFlag{Name: "props", Usage: "`FILE` of OVF properties, KEY=VALUE a line"},
		&cli.StringSliceFlag{Name: "add-prop", Usage: "`KEY[:TYPE]=VALUE`: a new property, that the user may set"},
		&cli.StringSliceFlag{Name: "remove-prop", Usage: "`KEY` of a property that goes"},
		&cli.StringFlag{Name: "deployment-option", Usage: "`ID` of the configuration that stays; the others go"},
		&cli.StringSliceFlag{Name: "cpus", Usage: "`NUMBER` of processors; SYSTEM=NUMBER for one of several machines"},
		&cli.StringSliceFlag{Name: "memory", Usage: "`SIZE` of memory such as 4GiB (MiB without a unit); SYSTEM=SIZE for one of several machines"},
		&cli.StringSliceFlag{Name: "controller-map", Usage: "`FROM=TO`: put disks on another controller, such as sata=scsi"},
		&cli.StringFlag{Name: "mac", Value: "keep", Usage: "MAC addresses: keep, regenerate or strip"},
		&cli.StringSliceFlag{Name: "add-file", Usage: "`[ID=]PATH` of a file that comes to the package"},
		&cli.StringSliceFlag{Name: "remove-file", Usage: "`ID` or href of a file that goes, with its disk and devices"},
	}
}

// signingFlags are those of sign.
func signingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "sign-key", Usage: "PEM `FILE` of the key to sign with"},
		&cli.StringFlag{Name: "sign-cert", Usage: "PEM `FILE` of its certificate and chain"},
		&cli.BoolFlag{Name: "signing-time", Usage: "add a CMS signature that says when it was made, as VirtualBox does"},
		&cli.StringFlag{Name: "sha", Usage: "`ALGORITHM` of the signature, and of a manifest that is made: sha1, sha224, sha256, sha384 or sha512"},
		&cli.BoolFlag{Name: "allow-expired", Usage: "sign with a certificate that is not valid any more"},
		&cli.StringFlag{Name: "manifest", Value: "verify", Usage: "digests: require, verify (where there are any) or ignore"},
	}
}

// packingFlags are how a package is written.
func packingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "disk-format", Usage: "encode disks as `FORMAT`: raw, vmdk, qcow2, vmdk-sparse, vhd, vhdx or vdi"},
		&cli.IntFlag{Name: "compress", Usage: "compression `LEVEL`: 0 stored, 1 fastest, 9 smallest"},
		&cli.StringFlag{Name: "sha", Usage: "`ALGORITHM` of the manifest: sha1, sha224, sha256, sha384, sha512, or none for no manifest"},
		&cli.StringFlag{Name: "file-compression", Usage: "compress the files of disks as `KIND`: gzip, or identity to undo it"},
		&cli.StringFlag{Name: "chunk-size", Usage: "split files into chunks of `SIZE` such as 2GiB; 0 joins them"},
		&cli.BoolFlag{Name: "flatten", Usage: "make delta disks whole"},
		&cli.StringFlag{Name: "sign-key", Usage: "PEM `FILE` of the key to sign with"},
		&cli.StringFlag{Name: "sign-cert", Usage: "PEM `FILE` of its certificate and chain"},
		&cli.BoolFlag{Name: "signing-time", Usage: "add a CMS signature that says when it was made, as VirtualBox does"},
		&cli.BoolFlag{Name: "keep-signature", Usage: "refuse what would make the signature of the package void"},
	}
}

func mappingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "`NAME` of the System at the destination"},
		&cli.StringSliceFlag{Name: "net", Usage: "`OVFNET=TARGET`: connect a network of the package to one of the cloud; *=TARGET for all others"},
		&cli.StringSliceFlag{Name: "storage", Usage: "`DISK=TARGET`: where a disk goes; *=TARGET for all others"},
		&cli.StringFlag{Name: "mac", Value: "keep", Usage: "MAC addresses: keep, regenerate or strip"},
		&cli.StringSliceFlag{Name: "prop", Usage: "`KEY=VALUE` (or KEY@FILE) of an OVF property"},
		&cli.StringFlag{Name: "props", Usage: "`FILE` of OVF properties, KEY=VALUE a line"},
		&cli.StringFlag{Name: "deployment-option", Usage: "`ID` of the configuration to deploy"},
		&cli.BoolFlag{Name: "power-on", Usage: "start the machines when all is verified"},
		&cli.BoolFlag{Name: "accept-eulas", Usage: "accept the licences of the package"},
		&cli.StringFlag{Name: "if-exists", Value: "fail", Usage: "a System of that name: fail, skip, replace or rename"},
		// ovftool's; see diskMode.
		&cli.StringFlag{Name: "disk-mode", Hidden: true},
		&cli.StringSliceFlag{Name: "controller-map", Usage: "`FROM=TO`: put disks on another controller, such as sata=scsi"},
	}
}

func transferFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "parallel-disks", Value: 2, Usage: "`NUMBER` of disks that are moved at the same time, at most"},
		&cli.StringFlag{Name: "bandwidth", Usage: "limit such as `50MiB` a second"},
		&cli.StringFlag{Name: "relay-listen", Usage: "`ADDRESS` on which the destination fetches from us"},
		&cli.StringFlag{Name: "relay-url", Usage: "`URL` by which the destination reaches that address"},
		&cli.StringFlag{Name: "metrics-listen", Usage: "`ADDRESS` on which /metrics and /healthz answer while this runs"},
		&cli.StringFlag{Name: "on-failure", Value: "rollback", Usage: "what was made at the destination: rollback or keep"},
	}
}

func policyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "allow", Usage: "go on in spite of findings of this `RULE`"},
		&cli.StringSliceFlag{Name: "deny", Usage: "refuse on findings of this `RULE`"},
		&cli.BoolFlag{Name: "strict", Usage: "refuse on warnings too"},
	}
}

// hookFlags are of commands that begin migrations or go on with them.
func hookFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "hook", Usage: "`\"before STEP=COMMAND\"` or \"after STEP=URL\": runs around a step, with the plan as JSON on standard input"},
		&cli.StringFlag{Name: "hooks", Usage: "YAML `FILE` of hooks, with deadlines and what to do when one fails"},
	}
}

// reportFlags are of commands whose result is a report.
func reportFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "report", Usage: "write the report as JSON to `FILE` too, whatever the outcome"},
		&cli.StringFlag{Name: "report-sign-key", Usage: "PEM `FILE` of the private key that signs reports (cimimove report FILE --key PUBLIC checks)"},
	}
}

func stateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "state-dir", EnvVars: []string{"CIMIMOVE_STATE_DIR"}, Usage: "`DIR` of the journal (default under XDG_STATE_HOME)"},
		&cli.StringFlag{Name: "queue", EnvVars: []string{"CIMIMOVE_QUEUE"}, Usage: "`URL` of a PostgreSQL database in which workers share the journal; its password from PGPASSWORD or PGPASSFILE"},
		&cli.DurationFlag{Name: "heartbeat", Value: 5 * time.Second, Usage: "with --queue: a worker that is silent for two of these is taken for dead"},
	}
}

func flags(groups ...[]cli.Flag) []cli.Flag {
	all := outputFlags()
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}
