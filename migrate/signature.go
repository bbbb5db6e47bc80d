package migrate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// Signature of a report. It is over the report as JSON without its members
// signature and error, keys sorted, without white space: what Canonical gives.
// So a signed report can be printed, indented or stored in any way, and is
// still the same. error is how a command ended, which the report's state says
// already.
type Signature struct {
	// Algorithm is ed25519, ecdsa-sha256 (the signature in ASN.1) or
	// rsa-pss-sha256.
	Algorithm string `json:"algorithm"`
	// Key is sha256: and the digest of the public key (SubjectPublicKeyInfo).
	Key   string `json:"key"`
	Value string `json:"value"` // Base64
}

var (
	// ErrNotSigned: a report without signature.
	ErrNotSigned = errors.New("the report is not signed")
	// ErrSignature: the report is not what was signed, or not by that key.
	ErrSignature = errors.New("the signature does not match")
)

// A Signer signs reports.
type Signer struct {
	key       crypto.Signer
	algorithm string
	id        string
}

// NewSigner reads a private key in PEM: PKCS #8, or the older forms of RSA and
// EC keys, without a passphrase. What is none is an *Error of class 2 that
// shows nothing of it.
func NewSigner(name string, text []byte) (*Signer, error) {
	bad := func(why string) error {
		return &Error{Class: ClassUsage, Object: name, Err: errors.New(why)}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, bad("no private key in PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, bad("expected a private key without passphrase, found " + block.Type)
	}
	if err != nil {
		return nil, bad("the private key cannot be read")
	}
	s := &Signer{}
	switch k := key.(type) {
	case ed25519.PrivateKey:
		s.key, s.algorithm = k, "ed25519"
	case *ecdsa.PrivateKey:
		s.key, s.algorithm = k, "ecdsa-sha256"
	case *rsa.PrivateKey:
		s.key, s.algorithm = k, "rsa-pss-sha256"
	default:
		return nil, bad(fmt.Sprintf("a key of type %T signs nothing here; use Ed25519, ECDSA or RSA", key))
	}
	s.id, err = keyID(s.key.Public())
	return s, err
}

func keyID(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

func (s *Signer) sign(message []byte) (*Signature, error) {
	var value []byte
	var err error
	if s.algorithm == "ed25519" {
		value, err = s.key.Sign(rand.Reader, message, crypto.Hash(0))
	} else {
		sum := sha256.Sum256(message)
		var opts crypto.SignerOpts = crypto.SHA256
		if s.algorithm == "rsa-pss-sha256" {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		value, err = s.key.Sign(rand.Reader, sum[:], opts)
	}
	if err != nil {
		return nil, fmt.Errorf("signing the report: %w", err)
	}
	return &Signature{Algorithm: s.algorithm, Key: s.id, Value: base64.StdEncoding.EncodeToString(value)}, nil
}

// sign signs the report as it is, when there is somebody to sign it.
func (rep *Report) sign(s *Signer) error {
	rep.Signature = nil
	if s == nil {
		return nil
	}
	message, _, err := Canonical(rep.encode())
	if err == nil {
		rep.Signature, err = s.sign(message)
	}
	return err
}

// Canonical is what is signed of a report, and its signature, nil for none.
func Canonical(report []byte) ([]byte, *Signature, error) {
	d := json.NewDecoder(bytes.NewReader(report))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		return nil, nil, fmt.Errorf("not a report: %w", err)
	}
	if d.More() {
		return nil, nil, errors.New("not a report: something follows the document")
	}
	var signed struct {
		Run       string     `json:"run"`
		Signature *Signature `json:"signature"`
	}
	if err := json.Unmarshal(report, &signed); err != nil || signed.Run == "" {
		return nil, nil, errors.New("not a report: it names no run")
	}
	delete(doc, "signature")
	delete(doc, "error")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil { // encoding/json sorts keys
		return nil, nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), signed.Signature, nil
}

// CheckReport tells whether a report is what the holder of a key signed. key
// is a public key or a certificate in PEM. Errors are *Error: of class 4 when
// the signature is wrong or absent, 2 when the key is none, 3 when the document
// is no report.
func CheckReport(report, key []byte) (*Signature, error) {
	pub, err := publicKey(key)
	if err != nil {
		return nil, &Error{Class: ClassUsage, Object: "key", Err: err}
	}
	message, sig, err := Canonical(report)
	if err != nil {
		return nil, &Error{Class: ClassInvalid, Object: "report", Err: err}
	}
	wrong := func(err error, why string) error {
		if why != "" {
			err = fmt.Errorf("%w: %s", err, why)
		}
		return &Error{Class: ClassIntegrity, Object: "report", Err: err}
	}
	if sig == nil {
		return nil, wrong(ErrNotSigned, "")
	}
	id, err := keyID(pub)
	if err != nil {
		return nil, &Error{Class: ClassUsage, Object: "key", Err: err}
	}
	if sig.Key != id {
		return sig, wrong(ErrSignature, fmt.Sprintf("it is of the key %s, given is %s", sig.Key, id))
	}
	value, err := base64.StdEncoding.DecodeString(sig.Value)
	if err != nil {
		return sig, wrong(ErrSignature, "it is not Base64")
	}
	sum := sha256.Sum256(message)
	ok := false
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		ok = sig.Algorithm == "ed25519" && ed25519.Verify(pub, message, value)
	case *ecdsa.PublicKey:
		ok = sig.Algorithm == "ecdsa-sha256" && ecdsa.VerifyASN1(pub, sum[:], value)
	case *rsa.PublicKey:
		ok = sig.Algorithm == "rsa-pss-sha256" && rsa.VerifyPSS(pub, crypto.SHA256, sum[:], value, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	if !ok {
		return sig, wrong(ErrSignature, "the report was changed after it was signed")
	}
	return sig, nil
}

func publicKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no public key or certificate in PEM")
	}
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	return nil, fmt.Errorf("expected a public key or a certificate, found %s", block.Type)
}
