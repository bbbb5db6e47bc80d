package vsphere

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// transport is for the vCenter itself.
func (o Options) transport() (*http.Transport, error) {
	c, err := o.Connection.Client()
	if err != nil {
		return nil, err
	}
	return c.Transport.(*http.Transport), nil
}

// hostTransport is for a host that a lease names. The vCenter, which we trust,
// says by its thumbprint which certificate the host has; where it says nothing
// the host must have one that an authority has signed.
func (o Options) hostTransport(thumbprint string, vCenter bool) (*http.Transport, error) {
	if !vCenter {
		o.Connection.Pin = "" // that is the vCenter's
	}
	t, err := o.transport()
	if err != nil || thumbprint == "" {
		return t, err
	}
	want, err := hex.DecodeString(strings.ReplaceAll(thumbprint, ":", ""))
	if err != nil || len(want) != sha1.Size && len(want) != sha256.Size {
		return nil, fmt.Errorf("thumbprint of a host: %q is neither SHA-1 nor SHA-256", thumbprint)
	}
	t.TLSClientConfig.InsecureSkipVerify = true // the thumbprint is the check
	t.TLSClientConfig.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0].Raw
		one, two := sha1.Sum(leaf), sha256.Sum256(leaf)
		if string(one[:]) == string(want) || string(two[:]) == string(want) {
			return nil
		}
		return &fetch.PinError{Server: s.ServerName, Digest: hex.EncodeToString(two[:])}
	}
	return t, nil
}
