package migrate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/hook"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/beside"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/object"
	"github.com/cimimove/cimimove/ovf/remote"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Class is the kind of end that an operation came to. Its value is the exit
// code of the command; cimi.ReturnCode puts it into a Job.
type Class int

// The classes, which are the exit codes of the command line.
const (
	ClassDone       Class = 0
	ClassOther      Class = 1   // anything that has no class of its own
	ClassUsage      Class = 2   // usage or configuration, runbooks included
	ClassInvalid    Class = 3   // package or descriptor invalid
	ClassIntegrity  Class = 4   // digest or signature
	ClassRefused    Class = 5   // refused before the transfer: mapping, quota, EULA, unsupported, exists
	ClassAuth       Class = 6   // authentication, authorisation or TLS
	ClassTransfer   Class = 7   // transfer failed, resumable
	ClassRemote     Class = 8   // the remote side failed and gave no class
	ClassBatch      Class = 9   // some items of a batch failed
	ClassUnverified Class = 10  // done, but the verification asked for could not be made
	ClassInterrupt  Class = 130 // interrupted; state kept
	ClassTerminate  Class = 143 // terminated; state kept
)

var classNames = map[Class]string{
	ClassDone: "done", ClassOther: "other", ClassUsage: "usage", ClassInvalid: "invalid",
	ClassIntegrity: "integrity", ClassRefused: "refused", ClassAuth: "auth", ClassTransfer: "transfer",
	ClassRemote: "remote", ClassBatch: "batch", ClassUnverified: "unverified",
	ClassInterrupt: "interrupted", ClassTerminate: "terminated",
}

// String is the name of the class in result documents.
func (c Class) String() string {
	if s, ok := classNames[c]; ok {
		return s
	}
	return classNames[ClassOther]
}

// ExitCode is what a command exits with; 0 for nil.
func ExitCode(err error) int { return int(ClassOf(err)) }

// ClassOf finds the class of an error: the one an *Error carries, else by what
// the error is.
func ClassOf(err error) Class {
	var (
		own        *Error
		job        *cimi.JobError
		untrusted  *cimi.SecurityError
		descriptor *ovf.DescriptorError
		missing    *ovf.MissingFileError
		integrity  *ovf.IntegrityError
		cloud      *cimi.Error
		stored     *object.Error
		setting    *object.SettingError
		reach      *fetch.SettingError
		elsewhere  *remote.RefusedError
		status     *fetch.StatusError
		classed    interface{ Class() Class }
		unsayable  *systemtemplate.RefusedError
	)
	switch {
	case err == nil:
		return ClassDone
	case errors.As(err, &own) && own.Class != 0:
		return own.Class
	case errors.As(err, &classed):
		return classed.Class()
	case errors.Is(err, context.Canceled):
		return ClassInterrupt
	case errors.As(err, &job):
		return Class(job.ExitClass())
	case errors.As(err, &untrusted):
		return ClassAuth
	case errors.As(err, &integrity):
		return ClassIntegrity
	case errors.As(err, &descriptor), errors.As(err, &missing),
		errors.Is(err, ovf.ErrNoDescriptor), errors.Is(err, ovf.ErrMultipleDescriptors), errors.Is(err, ovf.ErrUnsafePath),
		errors.Is(err, disk.ErrCorrupt), errors.Is(err, disk.ErrWrongFormat):
		return ClassInvalid
	case errors.As(err, &unsayable), errors.Is(err, disk.ErrUnsupported), errors.Is(err, dir.ErrNotReplaced), errors.Is(err, beside.ErrSpecial), errors.Is(err, beside.ErrForeignLink), errors.As(err, &elsewhere):
		return ClassRefused
	case full(err):
		return ClassRefused // room has to be made before another attempt
	case isTLS(err):
		return ClassAuth
	case errors.As(err, &cloud) && cloud.Status != 0:
		// The Job of an answer only says it in words, where it is none of ours.
		if cloud.Job != nil {
			if c, ok := cimi.ExitClass(cloud.Job.ReturnCode); ok {
				return Class(c)
			}
		}
		return classOfStatus(cloud.Status)
	case errors.As(err, &stored):
		return classOfStore(stored)
	case errors.As(err, &status) && classOfServer(status) == ClassAuth:
		return ClassAuth // in the middle of a file, too
	case isNetwork(err), errors.As(err, &cloud) && unanswered(cloud):
		return ClassTransfer
	case errors.As(err, &status):
		return classOfServer(status)
	case errors.As(err, &setting), errors.As(err, &reach), errors.Is(err, object.ErrNotAnObject), errors.Is(err, runbook.ErrInvalid), errors.Is(err, journal.ErrNoRun), errors.Is(err, journal.ErrLocked), errors.Is(err, hook.ErrInvalid):
		return ClassUsage
	}
	return ClassOther
}

// classOfStatus is for what a cloud answers to a request.
func classOfStatus(status int) Class {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return ClassAuth
	case status == http.StatusBadRequest, status == http.StatusMethodNotAllowed, status == http.StatusConflict,
		status == http.StatusUnprocessableEntity, status == http.StatusNotImplemented, status == http.StatusInsufficientStorage:
		return ClassRefused
	case status >= 500:
		return ClassRemote
	}
	return ClassOther
}

// classOfStore is for what an object store refuses.
func classOfStore(e *object.Error) Class {
	switch {
	case e.Denied():
		return ClassAuth
	case e.Code == "BadDigest", e.Code == "XAmzContentSHA256Mismatch":
		return ClassIntegrity
	case errors.Is(e, fs.ErrNotExist):
		return ClassUsage
	case e.Passing():
		return ClassTransfer
	}
	return ClassRefused
}

// classOfServer is for what a web server answers about a file.
func classOfServer(e *fetch.StatusError) Class {
	switch {
	case e.StatusCode == http.StatusUnauthorized, e.StatusCode == http.StatusForbidden, e.StatusCode == http.StatusProxyAuthRequired:
		return ClassAuth
	case e.Temporary():
		return ClassTransfer
	}
	return ClassOther
}

// unanswered: a cloud that gave no answer, half of one, or one too late.
func unanswered(e *cimi.Error) bool {
	return e.Status == 0 && e.Method != "" && e.Err != nil && !errors.Is(e, fetch.ErrRefused)
}

// full: a disk or a quota of ours has no room.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// isNetwork: a host that cannot be found or reached, or that went away.
func isNetwork(err error) bool {
	var (
		op       *net.OpError
		dns      *net.DNSError
		transfer *fetch.TransferError
		stall    *fetch.StallError
		slow     net.Error // as a TLS handshake that does not end
	)
	if errors.As(err, &slow) && slow.Timeout() && !errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	return errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &transfer) || errors.As(err, &stall)
}

func isTLS(err error) bool {
	var (
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		rootless x509.SystemRootsError
		pin      *fetch.PinError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &unknown) ||
		errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &rootless) || errors.As(err, &pin)
}
