package cert

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/cimimove/cimimove/ovf/manifest"
)

// leastRSA is the length of RSA keys, in bits, below which a signature proves little.
const leastRSA = 2048

// mostRSA is the length of RSA keys, in bits, above which nobody is known to
// sign: checking a signature of one takes time by more than its square, minutes
// for what fits in a file.
const mostRSA = 16384

func tooLong(c *x509.Certificate) error {
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() > mostRSA {
		return fmt.Errorf("its RSA key has %d bits, the limit is %d", k.N.BitLen(), mostRSA)
	}
	return nil
}

// weakness says what is known to be breakable about how a signature was made.
func weakness(s *Signature) string {
	if s.Algorithm == manifest.SHA1 {
		return "the manifest is signed by way of SHA-1, which can be forged"
	}
	if k, ok := s.Chain[0].PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < leastRSA {
		return fmt.Sprintf("the signer's RSA key has %d bits, fewer than %d", k.N.BitLen(), leastRSA)
	}
	switch a := s.Chain[0].SignatureAlgorithm; a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return fmt.Sprintf("the signer's certificate is signed by way of %s, which can be forged", a)
	}
	return ""
}
