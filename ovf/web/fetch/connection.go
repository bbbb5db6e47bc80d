package fetch

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Connection says how a server is reached and why it is trusted. The zero
// value takes the proxy of the environment and the system's authorities.
type Connection struct {
	// CA are certificate authorities in PEM that are trusted besides the system's.
	CA []byte
	// Pin, sha256:HEX, is the digest of the only certificate, or of its public
	// key, that is accepted.
	Pin string
	// Insecure does not check certificates.
	Insecure bool
	// Proxy is the URL of an HTTP proxy; empty takes the environment's, as far
	// as its NO_PROXY lets it, and "none" is none.
	Proxy string
	// HandshakeTimeout bounds the making of a TLS connection; 0: 20 s.
	HandshakeTimeout time.Duration
}

// NoProxy, as a Connection's Proxy, is none, whatever the environment says.
const NoProxy = "none"

// PinError: a server showed another certificate than the pinned one.
type PinError struct {
	Server string
	Digest string // of the certificate it showed, SHA-256 in hex
}

func (e *PinError) Error() string {
	whose := "its certificate"
	if e.Server != "" { // of a server without a name, only its address is known
		whose = "certificate of " + e.Server
	}
	return fmt.Sprintf("%s has sha256:%s, which is not the pinned one", whose, e.Digest)
}

// SettingError: what is said about how to reach a server cannot be understood.
type SettingError struct{ Message string }

func (e *SettingError) Error() string { return e.Message }

func setting(format string, args ...any) error { return &SettingError{fmt.Sprintf(format, args...)} }

// Client is NewClient with such a connection.
func (c Connection) Client() (*http.Client, error) {
	client := NewClient()
	t := client.Transport.(*http.Transport)
	if c.Proxy == NoProxy {
		t.Proxy = nil
	} else if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil || u.Host == "" {
			return nil, setting("proxy: expected a URL, got %s", Redact(c.Proxy))
		}
		t.Proxy = http.ProxyURL(u)
	}
	if c.HandshakeTimeout > 0 {
		t.TLSHandshakeTimeout = c.HandshakeTimeout
	}
	var err error
	t.TLSClientConfig, err = c.tls()
	return client, err
}

func (c Connection) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure}
	if len(c.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(c.CA) {
			return nil, setting("certificate authorities: no certificate in PEM")
		}
		cfg.RootCAs = pool
	}
	if c.Pin == "" {
		return cfg, nil
	}
	digest, ok := strings.CutPrefix(strings.ToLower(c.Pin), "sha256:")
	want, err := hex.DecodeString(strings.ReplaceAll(digest, ":", ""))
	if !ok || err != nil || len(want) != sha256.Size {
		return nil, setting("TLS pin: expected sha256: and 64 hex digits, got %q", c.Pin)
	}
	cfg.InsecureSkipVerify = true // the pin is the check
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		cert, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		if string(cert[:]) == string(want) || string(key[:]) == string(want) {
			return nil
		}
		return &PinError{Server: s.ServerName, Digest: hex.EncodeToString(cert[:])}
	}
	return cfg, nil
}
