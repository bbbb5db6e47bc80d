package libvirt

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// defaultTLSPort is libvirtd's for TLS.
const defaultTLSPort = "16514"

type overTLS struct {
	address string
	config  *tls.Config
}

// newTLS takes certificates where libvirt keeps them: pkipath of the URI, or
// the user's ~/.pki/libvirt, or those of the machine in /etc/pki. opts.CA adds
// to the authorities, opts.Pin replaces them.
func newTLS(u *url.URL, opts Options) (*overTLS, error) {
	port := first(u.Port(), defaultTLSPort)
	t := &overTLS{address: net.JoinHostPort(u.Hostname(), port),
		config: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname(), InsecureSkipVerify: opts.Insecure}}
	pki := pkiOf(u.Query().Get("pkipath"))
	roots := x509.NewCertPool()
	ca := opts.CA
	if b, err := os.ReadFile(pki.ca); err == nil {
		ca = append(append(ca, '\n'), b...)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if len(ca) > 0 {
		if !roots.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("certificate authorities (%s): no certificate in PEM", pki.ca)
		}
		t.config.RootCAs = roots
	}
	if cert, err := tls.LoadX509KeyPair(pki.cert, pki.key); err == nil {
		t.config.Certificates = []tls.Certificate{cert}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("client certificate %s: %w", pki.cert, err)
	}
	if opts.Pin != "" {
		digest, ok := strings.CutPrefix(strings.ToLower(opts.Pin), "sha256:")
		want, err := hex.DecodeString(strings.ReplaceAll(digest, ":", ""))
		if !ok || err != nil || len(want) != sha256.Size {
			return nil, fmt.Errorf("TLS pin: expected sha256: and 64 hex digits, got %q", opts.Pin)
		}
		t.config.InsecureSkipVerify = true // the pin is the check
		t.config.VerifyConnection = func(s tls.ConnectionState) error {
			if got := sha256.Sum256(s.PeerCertificates[0].Raw); string(got[:]) != string(want) {
				return &cimi.SecurityError{Message: fmt.Sprintf("certificate of %s has sha256:%x, which is not the pinned one", s.ServerName, got)}
			}
			return nil
		}
	}
	return t, nil
}

type pki struct{ ca, cert, key string }

func pkiOf(path string) pki {
	if path != "" {
		return pki{filepath.Join(path, "cacert.pem"), filepath.Join(path, "clientcert.pem"), filepath.Join(path, "clientkey.pem")}
	}
	if home, err := os.UserHomeDir(); err == nil {
		own := filepath.Join(home, ".pki", "libvirt")
		if _, err := os.Stat(filepath.Join(own, "clientcert.pem")); err == nil {
			return pki{filepath.Join(own, "cacert.pem"), filepath.Join(own, "clientcert.pem"), filepath.Join(own, "clientkey.pem")}
		}
	}
	return pki{"/etc/pki/CA/cacert.pem", "/etc/pki/libvirt/clientcert.pem", "/etc/pki/libvirt/private/clientkey.pem"}
}

func (t *overTLS) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := tls.Dialer{Config: t.config}
	c, err := d.DialContext(ctx, "tcp", t.address)
	var untrusted *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &untrusted):
		return nil, &cimi.SecurityError{URL: t.address, Message: "its certificate is not trusted", Err: untrusted.Err}
	case errors.As(err, &alert):
		return nil, &cimi.SecurityError{URL: t.address, Message: "TLS", Err: err}
	case err != nil:
		return nil, err
	}
	// libvirtd says in one byte whether it takes our certificate.
	stop := context.AfterFunc(ctx, func() { c.Close() })
	var verdict [1]byte
	_, err = io.ReadFull(c, verdict[:])
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err != nil || verdict[0] != 1 {
		c.Close()
		return nil, &cimi.SecurityError{URL: t.address, Message: "libvirtd does not take our client certificate", Err: err}
	}
	return c, nil
}

func (*overTLS) Close() error { return nil }
