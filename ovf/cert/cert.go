// Package cert reads, checks and writes the certificate file of a package, the
// .cert file (DSP0243 5.1): a signature of the manifest, and the X.509
// certificate, with its chain, whose key made it.
//
// That the signature is right, that the signer is trusted, and that the
// certificate is valid today are three answers, given separately: an expired
// certificate does not make a manifest wrong. What a Demand asks for decides
// which of them is an error.
//
// VirtualBox adds a CMS signature to the file, which tells when it was made;
// it is read, and written where asked for.
package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
)

const (
	maxBytes        = 1 << 20
	maxCertificates = 32
	// maxCMS holds maxCertificates of usual size; what reads CMS takes time by
	// the square of its length.
	maxCMS = 64 << 10
)

// Signature is a parsed certificate file.
type Signature struct {
	Manifest  string // name of the manifest, as written
	Algorithm manifest.Algorithm
	Value     []byte
	Chain     []*x509.Certificate // the signer's first
	CMS       []byte              // a detached CMS signature of the manifest too, in DER; nil: none
}

// parseLine reads SHA256(app.mf)= hex, all there is before the certificates;
// some producers wrap the hex. The name may hold parentheses.
func parseLine(head string) (algorithm, name, digits string, ok bool) {
	head = strings.Trim(head, " \t\r\n\ufeff")
	open, equals := strings.IndexByte(head, '('), strings.LastIndexByte(head, '=')
	if open <= 0 || equals < open {
		return "", "", "", false
	}
	end := strings.LastIndexByte(head[:equals], ')')
	if end < open || strings.TrimSpace(head[end+1:equals]) != "" || strings.ContainsAny(head[:end], "\r\n") {
		return "", "", "", false
	}
	digits = strings.Join(strings.Fields(head[equals+1:]), "")
	return strings.TrimSpace(head[:open]), head[open+1 : end], digits, digits != ""
}

// Parse reads a certificate file.
func Parse(b []byte) (*Signature, error) {
	fail := func(err error, format string, args ...any) error {
		return &ovf.DescriptorError{Object: "certificate file", Offset: -1, Message: fmt.Sprintf(format, args...), Clause: "5.1", Err: err}
	}
	if len(b) > maxBytes {
		return nil, fail(nil, "has %d bytes, the limit is %d", len(b), maxBytes)
	}
	head, _, found := bytes.Cut(b, []byte("-----BEGIN"))
	algorithm, name, digits, ok := parseLine(string(head))
	if !found || !ok {
		return nil, fail(nil, "is not a line SHA256(name.mf)= hex and a PEM certificate")
	}
	s := &Signature{Manifest: name}
	var known bool
	if s.Algorithm, known = manifest.ParseAlgorithm(algorithm); !known {
		return nil, fail(nil, "algorithm %.40q is not known", algorithm)
	}
	var err error
	if s.Value, err = hex.DecodeString(digits); err != nil {
		return nil, fail(err, "signature of %d hex digits", len(digits))
	}
	for rest := b[len(head):]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE":
		case "CMS", "PKCS7", "PKCS #7 SIGNED DATA":
			s.CMS = block.Bytes
			continue
		default:
			continue
		}
		if len(s.Chain) == maxCertificates {
			return nil, fail(nil, "more than %d certificates", maxCertificates)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fail(err, "certificate %d", len(s.Chain)+1)
		}
		if err := tooLong(c); err != nil {
			return nil, fail(err, "certificate %d", len(s.Chain)+1)
		}
		s.Chain = append(s.Chain, c)
	}
	if len(s.Chain) == 0 {
		return nil, fail(nil, "holds no certificate")
	}
	return s, nil
}

// Options of Verify.
type Options struct {
	Roots *x509.CertPool // who is trusted; nil: the system's
	Now   time.Time      // zero: now
}

// Result is what is known about a signature.
type Result struct {
	Signer, Issuer      string
	NotBefore, NotAfter time.Time
	Algorithm           manifest.Algorithm
	Chain               []string // subjects, the signer's first
	// Signature is nil when the signer's key signed this manifest; otherwise
	// an *ovf.IntegrityError, or why that cannot be told.
	Signature error
	// Trust is nil when the chain leads to a root, judged at a time when the
	// signer's certificate was valid.
	Trust error
	// Expired says that the certificate is not valid now: no more, or not yet.
	Expired bool
	// SignedAt is when the signature was made, as a CMS signature in the file
	// proves; zero where none tells. Time is an error of that proof.
	SignedAt time.Time
	Time     error
}

// ValidAtSigning says whether the certificate was valid when it signed; not
// known where nothing tells when that was.
func (r Result) ValidAtSigning() (valid, known bool) {
	if r.SignedAt.IsZero() {
		return false, false
	}
	return !r.SignedAt.Before(r.NotBefore) && !r.SignedAt.After(r.NotAfter), true
}

// Verify checks the signature of a manifest in the package called pkg.
func (s *Signature) Verify(pkg string, mf []byte, opts Options) Result {
	signer := s.Chain[0]
	now := opts.Now
	if now.IsZero() {
		now = time.Now()
	}
	r := Result{Signer: signer.Subject.String(), Issuer: signer.Issuer.String(), NotBefore: signer.NotBefore, NotAfter: signer.NotAfter, Algorithm: s.Algorithm}
	for _, c := range s.Chain {
		r.Chain = append(r.Chain, c.Subject.String())
	}
	r.Expired = now.Before(signer.NotBefore) || now.After(signer.NotAfter)
	if err := s.check(signer.PublicKey, mf); err != nil {
		r.Signature = fmt.Errorf("%w (%v)", &ovf.IntegrityError{Package: pkg, File: s.Manifest, Algorithm: string(s.Algorithm),
			Reason: "its signature is not that of " + r.Signer}, err)
	}
	if s.CMS != nil {
		r.SignedAt, r.Time = signingTime(s.CMS, mf, signer)
	}
	at := now
	switch {
	case now.Before(signer.NotBefore):
		at = signer.NotBefore
	case now.After(signer.NotAfter):
		at = signer.NotAfter
	}
	intermediates := x509.NewCertPool()
	for _, c := range s.Chain[1:] {
		intermediates.AddCert(c)
	}
	_, r.Trust = signer.Verify(x509.VerifyOptions{Roots: opts.Roots, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return r
}

func (s *Signature) check(key crypto.PublicKey, mf []byte) error {
	h := s.Algorithm.New()
	h.Write(mf)
	sum := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, cryptoHash(s.Algorithm), sum, s.Value)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(k, sum, s.Value) {
			return errors.New("ECDSA verification error")
		}
		return nil
	case ed25519.PublicKey:
		if !ed25519.Verify(k, mf, s.Value) {
			return errors.New("Ed25519 verification error")
		}
		return nil
	}
	return fmt.Errorf("keys of type %T are not known", key)
}

func cryptoHash(a manifest.Algorithm) crypto.Hash {
	return map[manifest.Algorithm]crypto.Hash{
		manifest.SHA1: crypto.SHA1, manifest.SHA224: crypto.SHA224, manifest.SHA256: crypto.SHA256,
		manifest.SHA384: crypto.SHA384, manifest.SHA512: crypto.SHA512}[a]
}

// Signer makes certificate files.
type Signer struct {
	Key       crypto.Signer
	Chain     []*x509.Certificate // the one of Key first
	Algorithm manifest.Algorithm  // zero: sha256
	// Time adds a CMS signature that says when it was made, as VirtualBox does;
	// the bytes then differ from day to day.
	Time bool
}

func (s Signer) algorithm() manifest.Algorithm {
	if s.Algorithm == "" {
		return manifest.SHA256
	}
	return s.Algorithm
}

// Sign makes the certificate file of the manifest that is stored as name.
func (s Signer) Sign(name string, mf []byte) ([]byte, error) {
	if len(s.Chain) == 0 {
		return nil, errors.New("signing needs the certificate of the key")
	}
	type equal interface{ Equal(crypto.PublicKey) bool }
	if k, ok := s.Key.Public().(equal); !ok || !k.Equal(s.Chain[0].PublicKey) {
		return nil, fmt.Errorf("the key is not that of the certificate of %s", s.Chain[0].Subject)
	}
	a := s.algorithm()
	message, hash := mf, crypto.Hash(0)
	if _, pure := s.Key.Public().(ed25519.PublicKey); !pure {
		h := a.New()
		h.Write(mf)
		message, hash = h.Sum(nil), cryptoHash(a)
	}
	value, err := s.Key.Sign(rand.Reader, message, hash)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", name, err)
	}
	out := fmt.Appendf(nil, "%s(%s)= %x\n", a.Spelling(), name, value)
	out = append(out, s.pem()...)
	if s.Time {
		der, err := s.timed(mf)
		if err != nil {
			return nil, fmt.Errorf("signing %s: %w", name, err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: der})...)
	}
	return out, nil
}

func (s Signer) pem() []byte {
	var b bytes.Buffer
	for _, c := range s.Chain {
		// Writing to memory does not fail, and headers there are none.
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

// Size is how many bytes to reserve for what Sign makes.
func (s Signer) Size(name string) int64 {
	value := ed25519.SignatureSize
	switch k := s.Key.Public().(type) {
	case *rsa.PublicKey:
		value = k.Size()
	case *ecdsa.PublicKey:
		value = 2*((k.Curve.Params().BitSize+7)/8+1) + 9 // two integers and the ASN.1 around them
	}
	size := int64(len(s.algorithm().Spelling())+len("(")+len(name)+len(")= ")+2*value+len("\n")) + int64(len(s.pem()))
	if s.Time {
		// What the certificates and the attributes take, in base 64.
		size += 2*int64(len(s.pem())) + 4096
	}
	return size
}
