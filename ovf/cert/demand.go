package cert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/cimimove/cimimove/ovf"
)

// Policy says what a signature is worth: the values of --signature.
type Policy string

const (
	// Verify, the default (also for the zero value): a signature that is there
	// must be that of its manifest. Who signed, and when, is told.
	Verify Policy = "verify"
	// Require: there must be one, by a signer who is trusted, with a certificate
	// that is valid.
	Require Policy = "require"
	// Ignore: nothing is looked at.
	Ignore Policy = "ignore"
)

// ParsePolicy takes the value of --signature; the empty string is Verify.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case "":
		return Verify, nil
	case Verify, Require, Ignore:
		return p, nil
	}
	return "", fmt.Errorf("signature policy %q is not one of require, verify, ignore", s)
}

// Rules of the findings that a Demand makes.
const (
	RuleWrong     = "OVF-SIG-001" // the signature is not that of the manifest
	RuleUntrusted = "OVF-SIG-002" // the chain leads to nobody who is trusted
	RuleExpired   = "OVF-SIG-003" // the certificate is not valid now
	RuleUnsigned  = "OVF-SIG-004" // there is no certificate, and one is required
	RuleUnread    = "OVF-SIG-005" // the certificate file cannot be read
	RuleName      = "OVF-SIG-006" // the signature names another manifest
	RuleWeak      = "OVF-SIG-007" // the signature is made by means that are broken or nearly so
	RuleTime      = "OVF-SIG-008" // the certificate was not valid when it signed, or the proof of when is wrong
	RuleUsage     = "OVF-SIG-009" // the certificate is not one to sign with
)

const clause = "DSP0243 5.1"

// Demand is what is asked of a package's signature; the zero value is Verify.
type Demand struct {
	Policy Policy
	// Trust are the signers to trust. Where somebody names them, a signer who is
	// none of theirs is an error under Verify too; nil stands for the system's.
	Trust *x509.CertPool
	// AllowExpired lets a certificate pass that is not valid now.
	AllowExpired bool
	Now          time.Time // zero: now
}

// Judge says what is known of the signature of a package, given the stored
// bytes of its manifest, which is called name, and of its certificate, nil
// where there are none. The error is the first finding of severity error: an
// *ovf.IntegrityError, or a *ovf.DescriptorError for a file that is none. The
// result is nil where there is no signature to tell of.
func (d Demand) Judge(pkg, name string, mf, certificate []byte) (*Result, []ovf.Finding, error) {
	if d.Policy == Ignore {
		return nil, nil, nil
	}
	j := judgement{pkg: pkg, name: name}
	if certificate == nil {
		if d.Policy == Require {
			j.add(RuleUnsigned, ovf.Error, "", &ovf.IntegrityError{Package: pkg, File: "certificate", Reason: "there is none, and a signature is required"})
		}
		return nil, j.findings, j.err
	}
	s, err := Parse(certificate)
	if err != nil {
		var de *ovf.DescriptorError
		if errors.As(err, &de) && de.Package == "" {
			de.Package = pkg
		}
		j.add(RuleUnread, ovf.Error, "", err)
		return nil, j.findings, j.err
	}
	if mf == nil {
		j.add(RuleWrong, ovf.Error, "", &ovf.IntegrityError{Package: pkg, File: s.Manifest, Reason: "there is a certificate, and no manifest that it signs"})
		return nil, j.findings, j.err
	}
	r := s.Verify(pkg, mf, Options{Roots: d.Trust, Now: d.Now})
	j.judge(d, s, r)
	return &r, j.findings, j.err
}

type judgement struct {
	pkg, name string
	findings  []ovf.Finding
	err       error
}

func (j *judgement) add(id string, severity ovf.Severity, hint string, err error) {
	j.findings = append(j.findings, ovf.Finding{ID: id, Severity: severity, Object: j.name, Message: err.Error(), Hint: hint, Clause: clause})
	if severity == ovf.Error && j.err == nil {
		j.err = err
	}
}

func (j *judgement) judge(d Demand, s *Signature, r Result) {
	refuse := func(yes bool) ovf.Severity {
		if yes {
			return ovf.Error
		}
		return ovf.Warning
	}
	integrity := func(format string, args ...any) error {
		return &ovf.IntegrityError{Package: j.pkg, File: s.Manifest, Reason: fmt.Sprintf(format, args...)}
	}
	if r.Signature != nil {
		j.add(RuleWrong, ovf.Error, "", r.Signature)
	}
	if path.Base(s.Manifest) != path.Base(j.name) && j.name != "" {
		j.add(RuleName, ovf.Warning, "", integrity("the certificate names the manifest %q, the package has %q", s.Manifest, j.name))
	}
	strict := d.Policy == Require || d.Trust != nil
	if r.Trust != nil {
		j.add(RuleUntrusted, refuse(strict), "--trust FILE names signers to trust", integrity("it is signed by %s, who is not trusted: %v", r.Signer, r.Trust))
	}
	if r.Expired {
		j.add(RuleExpired, refuse(strict && !d.AllowExpired), "--allow-expired lets it pass",
			integrity("the certificate of %s is valid from %s to %s only", r.Signer, r.NotBefore.Format(time.DateOnly), r.NotAfter.Format(time.DateOnly)))
	}
	switch signer := s.Chain[0]; {
	case ForbidsSigning(signer):
		j.add(RuleUsage, refuse(strict), "", integrity("the certificate of %s forbids to sign with it (key usage)", r.Signer))
	case forOtherPurposes(signer):
		j.add(RuleUsage, ovf.Warning, "", integrity("the certificate of %s was given for other purposes than signing (extended key usage)", r.Signer))
	}
	if valid, known := r.ValidAtSigning(); known && !valid {
		j.add(RuleTime, refuse(strict), "", integrity("the certificate of %s was not valid when it signed, %s", r.Signer, r.SignedAt.Format(time.RFC3339)))
	} else if r.Time != nil {
		j.add(RuleTime, refuse(strict), "", integrity("%v", r.Time))
	}
	if why := weakness(s); why != "" {
		j.add(RuleWeak, ovf.Warning, "sign it anew", integrity("%s", why))
	}
}
