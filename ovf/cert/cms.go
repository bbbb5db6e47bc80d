package cert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/smallstep/pkcs7"
)

// signingTime is the signed attribute of a detached CMS signature of the
// manifest, made by the same certificate.
func signingTime(der, mf []byte, signer *x509.Certificate) (time.Time, error) {
	if len(der) > maxCMS {
		return time.Time{}, fmt.Errorf("the CMS signature has %d bytes, the limit is %d", len(der), maxCMS)
	}
	p, err := pkcs7.Parse(der)
	if err != nil {
		return time.Time{}, fmt.Errorf("the CMS signature: %w", err)
	}
	for _, c := range p.Certificates {
		if err := tooLong(c); err != nil {
			return time.Time{}, fmt.Errorf("the CMS signature: %w", err)
		}
	}
	p.Content = mf
	var late *pkcs7.SigningTimeNotValidError
	if err := p.Verify(); err != nil && !errors.As(err, &late) {
		return time.Time{}, fmt.Errorf("the CMS signature: %w", err)
	}
	if by := p.GetOnlySigner(); by == nil || !by.Equal(signer) {
		return time.Time{}, errors.New("the CMS signature is of another signer")
	}
	var at time.Time
	if err := p.UnmarshalSignedAttribute(pkcs7.OIDAttributeSigningTime, &at); err != nil {
		return time.Time{}, fmt.Errorf("the CMS signature has no signing time: %w", err)
	}
	return at, nil
}

// timed is a detached CMS signature of the manifest with the time of now.
func (s Signer) timed(mf []byte) ([]byte, error) {
	d, err := pkcs7.NewSignedData(mf)
	if err != nil {
		return nil, err
	}
	d.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := d.AddSignerChain(s.Chain[0], s.Key, s.Chain[1:], pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("a CMS signature with the time: %w", err)
	}
	d.Detach()
	return d.Finish()
}
