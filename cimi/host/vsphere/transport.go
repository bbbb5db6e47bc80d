package vsphere

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// transport is for the vCenter itself.
func (o Options) transport() (*http.Transport, error) {
	t := fetch.NewClient().Transport.(*http.Transport)
	if o.Proxy != "" {
		u, err := url.Parse(o.Proxy)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("proxy: expected a URL, got %s", fetch.Redact(o.Proxy))
		}
		t.Proxy = http.ProxyURL(u)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure}
	if len(o.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("certificate authorities: no certificate in PEM")
		}
		cfg.RootCAs = pool
	}
	if o.Pin != "" {
		digest, ok := strings.CutPrefix(strings.ToLower(o.Pin), "sha256:")
		want, err := hex.DecodeString(strings.ReplaceAll(digest, ":", ""))
		if !ok || err != nil || len(want) != sha256.Size {
			return nil, fmt.Errorf("TLS pin: expected sha256: and 64 hex digits, got %q", o.Pin)
		}
		cfg.InsecureSkipVerify = true // the pin is the check
		cfg.VerifyConnection = func(s tls.ConnectionState) error {
			leaf := s.PeerCertificates[0]
			cert, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
			if string(cert[:]) == string(want) || string(key[:]) == string(want) {
				return nil
			}
			return &cimi.SecurityError{Message: fmt.Sprintf("certificate of %s has sha256:%x, which is not the pinned one", s.ServerName, cert)}
		}
	}
	t.TLSClientConfig = cfg
	return t, nil
}

// hostTransport is for a host that a lease names. The vCenter, which we trust,
// says by its thumbprint which certificate the host has; where it says nothing
// the host must have one that an authority has signed.
func (o Options) hostTransport(thumbprint string, vCenter bool) (*http.Transport, error) {
	if thumbprint == "" {
		if !vCenter {
			o.Pin = "" // that is the vCenter's
		}
		return o.transport()
	}
	want, err := hex.DecodeString(strings.ReplaceAll(thumbprint, ":", ""))
	if err != nil || len(want) != sha1.Size && len(want) != sha256.Size {
		return nil, fmt.Errorf("thumbprint of a host: %q is neither SHA-1 nor SHA-256", thumbprint)
	}
	o.Pin = ""
	t, err := o.transport()
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig.InsecureSkipVerify = true // the thumbprint is the check
	t.TLSClientConfig.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0].Raw
		one, two := sha1.Sum(leaf), sha256.Sum256(leaf)
		if string(one[:]) == string(want) || string(two[:]) == string(want) {
			return nil
		}
		return &cimi.SecurityError{Message: fmt.Sprintf("host %s has another certificate (sha256:%x) than the vCenter says (%s)", s.ServerName, two, thumbprint)}
	}
	return t, nil
}
