package provider

import (
	"context"
	"io"

	"github.com/cimimove/cimimove/ovf"
)

// bare is a package that is a descriptor and nothing else.
type bare struct {
	env      *ovf.Envelope
	findings []ovf.Finding
}

func (b *bare) Name() string                              { return "template" }
func (b *bare) Descriptor() string                        { return "system.ovf" }
func (b *bare) Envelope() *ovf.Envelope                   { return b.env }
func (b *bare) Manifest() []byte                          { return nil }
func (b *bare) Certificate() []byte                       { return nil }
func (b *bare) Next(context.Context) (*ovf.Member, error) { return nil, io.EOF }
func (b *bare) Findings() []ovf.Finding                   { return b.findings }
func (b *bare) Close() error                              { return nil }
