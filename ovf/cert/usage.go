package cert

import (
	"crypto/x509"
	"slices"
)

// ForbidsSigning says whether a certificate tells what its key is for, and
// signatures are not among it (RFC 5280 4.2.1.3).
func ForbidsSigning(c *x509.Certificate) bool {
	return c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0
}

// forOtherPurposes says whether a certificate was given for purposes that have
// nothing to do with signing what others read, such as those of a web server
// (RFC 5280 4.2.1.12). Purposes without a name here count as signing.
func forOtherPurposes(c *x509.Certificate) bool {
	signs := func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageAny || u == x509.ExtKeyUsageCodeSigning || u == x509.ExtKeyUsageEmailProtection ||
			u == x509.ExtKeyUsageMicrosoftCommercialCodeSigning || u == x509.ExtKeyUsageMicrosoftKernelCodeSigning
	}
	return len(c.ExtKeyUsage) > 0 && len(c.UnknownExtKeyUsage) == 0 && !slices.ContainsFunc(c.ExtKeyUsage, signs)
}
