package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/cert"
	"github.com/cimimove/cimimove/ovf/check"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// inspection is the document of inspect (cli.md, "Output").
type inspection struct {
	Package           string             `json:"package"`
	Version           string             `json:"version"`
	Name              string             `json:"name"`
	Files             []fileSummary      `json:"files"`
	Disks             []diskSummary      `json:"disks"`
	Networks          []networkSummary   `json:"networks"`
	Systems           []systemSummary    `json:"systems"`
	Properties        []propertySummary  `json:"properties"`
	DeploymentOptions []deploymentOption `json:"deploymentOptions"`
	EULAs             []eulaSummary      `json:"eulas"`
	Manifest          manifestSummary    `json:"manifest"`
	Signature         signatureSummary   `json:"signature"`
	Findings          []ovf.Finding      `json:"findings"`
}

type fileSummary struct {
	ID          string `json:"id"`
	Href        string `json:"href"`
	Size        *int64 `json:"size"`        // as declared; null when it is not
	Compression string `json:"compression"` // empty: none
	ChunkSize   int64  `json:"chunkSize"`   // bytes; 0: one file
}

type diskSummary struct {
	ID             string `json:"id"`
	File           string `json:"file"` // href; empty for a blank disk
	CapacityBytes  int64  `json:"capacityBytes"`
	Format         string `json:"format"`
	PopulatedBytes *int64 `json:"populatedBytes"`
	Parent         string `json:"parent"`
	Shared         bool   `json:"shared,omitempty"`
}

type networkSummary struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type systemSummary struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Parent      string         `json:"parent"` // ovf:id of the collection around it
	CPUs        int            `json:"cpus"`
	MemoryBytes int64          `json:"memoryBytes"`
	OS          *osSummary     `json:"os"` // null where nothing is said
	Firmware    string         `json:"firmware"`
	Disks       []driveSummary `json:"disks"`
	NICs        []nicSummary   `json:"nics"`
	StartOrder  int            `json:"startOrder"`
}

type osSummary struct {
	ID          int    `json:"id"`
	Description string `json:"description"`
	VendorType  string `json:"vendorType"`
}

type driveSummary struct {
	Disk       string `json:"disk"`
	Controller string `json:"controller"`
	Address    string `json:"address"`
}

type nicSummary struct {
	Network string `json:"network"`
	MAC     string `json:"mac"`
	Type    string `json:"type"`
}

type propertySummary struct {
	System           string `json:"system,omitempty"`
	Key              string `json:"key"`
	Type             string `json:"type"`
	Value            string `json:"value"` // the default; withheld for passwords
	UserConfigurable bool   `json:"userConfigurable"`
	Password         bool   `json:"password"`
	Qualifiers       string `json:"qualifiers"`
	Label            string `json:"label,omitempty"`
}

type deploymentOption struct {
	ID      string `json:"id"`
	Label   string `json:"label"`
	Default bool   `json:"default"`
}

type eulaSummary struct {
	System string `json:"system"`
	Text   string `json:"text"`
}

type manifestSummary struct {
	Present    bool     `json:"present"`
	Algorithms []string `json:"algorithms"`
}

// signatureSummary tells of a signature; what only a certificate says is null
// where there is none that can be read.
type signatureSummary struct {
	Present        bool     `json:"present"`
	Valid          *bool    `json:"valid"` // it is that of the manifest
	Signer         string   `json:"signer"`
	Issuer         string   `json:"issuer"`
	Chain          []string `json:"chain"`
	Algorithm      string   `json:"algorithm"`
	NotBefore      *string  `json:"notBefore"`
	NotAfter       *string  `json:"notAfter"`
	Trusted        *bool    `json:"trusted"`
	ValidNow       *bool    `json:"validNow"`
	SignedAt       *string  `json:"signedAt"` // null where nothing in the package tells
	ValidAtSigning *bool    `json:"validAtSigning"`
}

func signatureOf(present bool, r *cert.Result) signatureSummary {
	s := signatureSummary{Present: present, Chain: []string{}}
	if r == nil {
		return s
	}
	is := func(b bool) *bool { return &b }
	at := func(t time.Time) *string { u := t.UTC().Format(time.RFC3339); return &u }
	s.Valid, s.Trusted, s.ValidNow = is(r.Signature == nil), is(r.Trust == nil), is(!r.Expired)
	s.Signer, s.Issuer, s.Chain, s.Algorithm = r.Signer, r.Issuer, r.Chain, string(r.Algorithm)
	s.NotBefore, s.NotAfter = at(r.NotBefore), at(r.NotAfter)
	if valid, known := r.ValidAtSigning(); known {
		s.SignedAt, s.ValidAtSigning = at(r.SignedAt), is(valid)
	}
	return s
}

func inspect(ctx context.Context, c *call) (result, error) {
	demand, err := c.demand()
	if err != nil {
		return result{}, err
	}
	pkg, err := c.openPackage(ctx, c.Args().First())
	if err != nil {
		return result{}, err
	}
	defer pkg.Close()
	doc := summarize(ctx, pkg)
	// What is wrong with a signature is a finding here, and no error.
	signature, findings, _ := demand.Judge(pkg.Name(), cert.ManifestName(pkg), pkg.Manifest(), pkg.Certificate())
	doc.Signature = signatureOf(pkg.Certificate() != nil, signature)
	doc.Findings = append(doc.Findings, findings...)
	return result{doc, doc.text}, nil
}

func summarize(ctx context.Context, pkg ovf.Package) *inspection {
	env := pkg.Envelope()
	s := &inspection{
		Package: pkg.Name(), Version: versionOf(env), Files: []fileSummary{}, Disks: []diskSummary{},
		Networks: []networkSummary{}, Systems: []systemSummary{}, Properties: []propertySummary{},
		DeploymentOptions: []deploymentOption{}, EULAs: []eulaSummary{}, Findings: []ovf.Finding{},
		Manifest: manifestSummary{Present: pkg.Manifest() != nil, Algorithms: algorithms(pkg.Manifest())},
	}
	if c, ok := env.Content(); ok {
		s.Name = c.Title()
	}
	for _, f := range env.Files() {
		s.Files = append(s.Files, fileSummary{f.ID, f.Href, known(f.Size), f.Compression, f.ChunkSize})
	}
	for _, d := range env.Disks() {
		out := diskSummary{ID: d.ID, Format: d.Format, Parent: d.ParentRef, PopulatedBytes: known(d.PopulatedSize), Shared: d.Shared}
		if f, ok := d.File(); ok {
			out.File = f.Href
		}
		// A capacity that cannot be read is one of the findings.
		out.CapacityBytes, _ = d.CapacityBytes()
		s.Disks = append(s.Disks, out)
	}
	for _, n := range env.Networks() {
		s.Networks = append(s.Networks, networkSummary{n.Name, n.Description})
	}
	for content := range env.Contents() {
		s.content(content, env.DefaultConfiguration())
	}
	for _, c := range env.Configurations() {
		s.DeploymentOptions = append(s.DeploymentOptions, deploymentOption{c.ID, c.Label, c.ID == env.DefaultConfiguration()})
	}
	s.Findings = append(s.Findings, check.Quick(ctx, pkg)...)
	return s
}

// content adds a VirtualSystem, and what a collection has of its own.
func (s *inspection) content(c ovf.Content, configuration string) {
	for _, p := range c.Properties() {
		value := p.Value
		if p.Password {
			value = ""
		}
		s.Properties = append(s.Properties, propertySummary{c.ID, p.EnvKey(), p.Type, value, p.UserConfigurable, p.Password, p.Qualifiers, p.Label})
	}
	for _, e := range c.Eulas() {
		s.EULAs = append(s.EULAs, eulaSummary{c.ID, strings.TrimSpace(e.License)})
	}
	if c.Collection {
		return
	}
	v := systemSummary{ID: c.ID, Name: c.Title(), Disks: []driveSummary{}, NICs: []nicSummary{}}
	around := c
	if p, ok := c.Parent(); ok {
		v.Parent, around = p.ID, p
	}
	for _, item := range around.Startup() {
		if item.ID == c.ID {
			v.StartOrder = item.Order
			break
		}
	}
	if o, ok := c.OperatingSystem(); ok {
		vendor := o.VMwareType
		if vendor == "" {
			vendor = o.VBoxType
		}
		v.OS = &osSummary{o.ID, o.Description, vendor}
	}
	if h, ok := c.HardwareFor(nil); ok {
		v.CPUs, _ = h.CPUs(configuration)
		v.MemoryBytes, _ = h.MemoryBytes(configuration)
		v.Firmware = h.Firmware()
		for _, d := range h.Disks(configuration) {
			v.Disks = append(v.Disks, driveSummary{d.Disk.ID, d.Controller.String(), d.AddressOnParent})
		}
		for _, n := range h.NICs(configuration) {
			v.NICs = append(v.NICs, nicSummary{strings.Join(n.Connection, ", "), n.Address, n.ResourceSubType})
		}
	}
	s.Systems = append(s.Systems, v)
}

// versionOf is the version of the standard as people write it. 1.0 and 1.1
// share a namespace; some producers say which they mean.
func versionOf(env *ovf.Envelope) string {
	versions := map[ovf.Version]string{ovf.V1: "1.1", ovf.V2: "2.0"}
	if said, ok := env.Tree().Root().Attr(env.Namespace(), "version"); ok && strings.HasPrefix(said, string(env.Version())) {
		return said
	}
	if v, ok := versions[env.Version()]; ok {
		return v
	}
	return string(env.Version())
}

func algorithms(stored []byte) []string {
	m, err := manifest.Parse(stored)
	if err != nil || len(stored) == 0 {
		return []string{}
	}
	out := []string{}
	for _, a := range m.Algorithms() {
		out = append(out, string(a))
	}
	return out
}

func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func (s *inspection) text(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s (OVF %s)\n", s.Package, s.Name, s.Version)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(s.Systems) > 0 {
		fmt.Fprintln(t, "\nSYSTEM\tCPUS\tMEMORY\tDISKS\tNETWORKS\tOS")
		for _, v := range s.Systems {
			var disks, nets []string
			for _, d := range v.Disks {
				disks = append(disks, d.Disk)
			}
			for _, n := range v.NICs {
				nets = append(nets, n.Network)
			}
			system := ""
			if v.OS != nil {
				system = v.OS.Description
			}
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", v.Name, v.CPUs, humanize.IBytes(uint64(v.MemoryBytes)), strings.Join(disks, ", "), strings.Join(nets, ", "), system)
		}
	}
	if len(s.Disks) > 0 {
		fmt.Fprintln(t, "\nDISK\tCAPACITY\tFILE")
		for _, d := range s.Disks {
			file := d.File
			if file == "" {
				file = "(blank)"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", d.ID, humanize.IBytes(uint64(max(0, d.CapacityBytes))), file)
		}
	}
	if len(s.DeploymentOptions) > 0 {
		fmt.Fprintln(t, "\nCONFIGURATION\tLABEL")
		for _, o := range s.DeploymentOptions {
			mark := ""
			if o.Default {
				mark = " (default)"
			}
			fmt.Fprintf(t, "%s%s\t%s\n", o.ID, mark, o.Label)
		}
	}
	if len(s.Properties) > 0 {
		fmt.Fprintln(t, "\nPROPERTY\tTYPE\tDEFAULT")
		for _, p := range s.Properties {
			fmt.Fprintf(t, "%s\t%s\t%s\n", p.Key, p.Type, p.Value)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	mf := "no manifest"
	if s.Manifest.Present {
		mf = "manifest " + strings.Join(s.Manifest.Algorithms, ", ")
	}
	if s.Signature.Present {
		mf += ", signed"
		if s.Signature.Signer != "" {
			mf += " by " + s.Signature.Signer
		}
	}
	if len(s.EULAs) > 0 {
		mf += fmt.Sprintf(", %d licence agreements", len(s.EULAs))
	}
	fmt.Fprintf(w, "\n%s\n", mf)
	return printFindings(w, s.Findings)
}

func printFindings(w io.Writer, findings []ovf.Finding) error {
	for _, f := range findings {
		line := fmt.Sprintf("%s %s: %s: %s", f.Severity, f.ID, f.Object, f.Message)
		if f.Clause != "" {
			line += " (" + f.Clause + ")"
		}
		if f.Hint != "" {
			line += "; " + f.Hint
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
