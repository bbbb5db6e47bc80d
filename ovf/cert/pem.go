package cert

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// maxPEM bounds the files that ReadSigner and ReadTrust take, in bytes.
const maxPEM = 1 << 20

// ReadSigner reads a private key (PKCS #8, PKCS #1 or SEC 1, not encrypted) and
// the certificate of it with its chain, from PEM files; one file may hold both.
func ReadSigner(keyFile, certFile string) (Signer, error) {
	var s Signer
	err := blocks(keyFile, func(b *pem.Block) error {
		if s.Key != nil {
			return nil
		}
		var key any
		var err error
		switch b.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case "RSA PRIVATE KEY":
			if b.Headers["DEK-Info"] != "" {
				return errors.New("the key is encrypted; decrypt it first (openssl pkey)")
			}
			key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(b.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return errors.New("the key is encrypted; decrypt it first (openssl pkey)")
		default:
			return nil
		}
		if err != nil {
			return err
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return fmt.Errorf("keys of type %T cannot sign", key)
		}
		s.Key = signer
		return nil
	})
	if err == nil && s.Key == nil {
		err = errors.New("holds no private key in PEM")
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", keyFile, err)
	}
	if s.Chain, err = ReadCertificates(certFile); err != nil {
		return s, err
	}
	type equal interface{ Equal(crypto.PublicKey) bool }
	if k, ok := s.Key.Public().(equal); !ok || !k.Equal(s.Chain[0].PublicKey) {
		return s, fmt.Errorf("%s: the key is not that of the certificate of %s in %s", keyFile, s.Chain[0].Subject, certFile)
	}
	return s, nil
}

// ReadTrust reads the certificates of signers to trust from a PEM file.
func ReadTrust(file string) (*x509.CertPool, error) {
	all, err := ReadCertificates(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool, nil
}

// ReadCertificates reads all certificates of a PEM file, at least one.
func ReadCertificates(file string) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	err := blocks(file, func(b *pem.Block) error {
		if b.Type != "CERTIFICATE" {
			return nil
		}
		c, err := x509.ParseCertificate(b.Bytes)
		out = append(out, c)
		return err
	})
	if err == nil && len(out) == 0 {
		err = errors.New("holds no certificate in PEM")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return out, nil
}

func blocks(file string, visit func(*pem.Block) error) error {
	info, err := os.Stat(file)
	if err != nil {
		return errors.Unwrap(err)
	}
	if info.Size() > maxPEM {
		return fmt.Errorf("has %d bytes, the limit is %d", info.Size(), maxPEM)
	}
	rest, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return nil
		}
		if err := visit(b); err != nil {
			return err
		}
	}
}
