package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"syscall"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/remote"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Exit classes of the command line; a Job's returnCode is 10000 more.
const (
	classOther     = 1
	classPackage   = 3
	classIntegrity = 4
	classRefused   = 5
	classSecurity  = 6
	classTransfer  = 7
)

// classOf is the exit class of what made a Job fail.
func classOf(err error) int {
	var (
		integrity *ovf.IntegrityError
		package_  *ovf.DescriptorError
		missing   *ovf.MissingFileError
		status    *fetch.StatusError
		network   net.Error
		transfer  *fetch.TransferError
		stall     *fetch.StallError
		changed   *fetch.ChangedError
		security  *cimi.SecurityError
		tlsError  *tls.CertificateVerificationError
		elsewhere *remote.RefusedError
	)
	switch {
	case errors.As(err, &integrity):
		return classIntegrity
	case errors.Is(err, host.ErrUnsupported), errors.Is(err, host.ErrExists), noSpace(err),
		errors.Is(err, host.ErrBusy), errors.Is(err, host.ErrUnproved), errors.Is(err, disk.ErrUnsupported), errors.Is(err, errSourceRefused), errors.As(err, &elsewhere):
		return classRefused
	case errors.As(err, &security), errors.As(err, &tlsError):
		return classSecurity
	case errors.As(err, &status):
		if status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden {
			return classSecurity
		}
		return classTransfer
	case errors.Is(err, errClosing), errors.Is(err, errDied), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &transfer), errors.As(err, &stall), errors.As(err, &changed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return classTransfer
	case errors.As(err, &package_), errors.As(err, &missing), errors.Is(err, ovf.ErrUnsafePath), errors.Is(err, ovf.ErrNoDescriptor),
		errors.Is(err, disk.ErrCorrupt), errors.Is(err, disk.ErrWrongFormat):
		return classPackage
	}
	return classOther
}

// noSpace tells a full disk or quota, whether the host says so or its file system.
func noSpace(err error) bool {
	return errors.Is(err, host.ErrNoSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// statusOf is the HTTP status of an error of the host, as the answer to a request.
func statusOf(err error) int {
	switch {
	case errors.Is(err, host.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, host.ErrBusy), errors.Is(err, host.ErrExists), errors.Is(err, host.ErrChanged), errors.Is(err, host.ErrUnproved):
		return http.StatusConflict
	case errors.Is(err, host.ErrUnsupported):
		return http.StatusBadRequest
	case noSpace(err):
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// asError makes an error of the host a *cimi.Error.
func asError(err error) error {
	var e *cimi.Error
	if err == nil || errors.As(err, &e) || errors.Is(err, context.Canceled) {
		return err
	}
	return &cimi.Error{Status: statusOf(err), Message: err.Error(), Err: err}
}
