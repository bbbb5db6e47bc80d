package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// entrusted is what is kept of a file whose digest another takes: enough to go
// on by reading the file again, should that one not tell it.
type entrusted struct {
	algorithm Algorithm
	from      int64     // bytes that were digested before
	hash      hash.Hash // of those
	passed    keyed     // of those that passed since
}

// Again says how to read the file again from a place on, without which it is
// not entrusted.
func (r *Reader) Again(open func(off int64) (io.ReadCloser, error)) { r.again = open }

// Entrust leaves the digest to another; see ovf.Entrusting.
func (r *Reader) Entrust(algorithm string) bool {
	a := Algorithm(algorithm)
	h := r.file.hashes[a]
	if h == nil || len(r.file.hashes) != 1 || r.file.whole != nil || r.again == nil || r.size < 0 || r.resumed || r.err != nil || r.entrusted != nil {
		return false
	}
	r.entrusted = &entrusted{algorithm: a, from: r.read, hash: h}
	return true
}

// Attest compares what others have taken; see ovf.Entrusting.
func (r *Reader) Attest(sums ...string) error {
	e := r.entrusted
	switch {
	case r.err != nil && r.err != io.EOF:
		return r.err
	case e == nil:
		return fmt.Errorf("%s: %s: is not entrusted to anybody", r.c.pkg, r.name)
	case r.err == nil:
		return fmt.Errorf("%s: %s: is attested after %d of %d bytes", r.c.pkg, r.name, r.read, r.size)
	}
	var err error
	for _, sum := range sums {
		err = cmp.Or(err, r.c.passSums(r.name, r.file, digests{e.algorithm: strings.ToLower(sum)}))
	}
	if err == nil && len(sums) > 0 {
		r.entrusted = nil
		return nil
	}
	// Either the package is not what its manifest says, or it changed on its way.
	if own := r.redeem(); own != nil || err == nil {
		return own
	}
	var wrong *ovf.IntegrityError
	if errors.As(err, &wrong) {
		wrong.Reason = fmt.Sprintf("what arrived has the %s digest %s, what was sent has %s, as the manifest says", e.algorithm, wrong.Actual, wrong.Expected)
	}
	r.err = err
	return err
}

// redeem digests what was entrusted by reading it again, compares that with what
// has passed, and gives the verdict, which Read answers from then on.
func (r *Reader) redeem() error {
	e := r.entrusted
	r.entrusted = nil
	if r.err = e.readAgain(r); r.err == nil {
		r.end()
	}
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

func (e *entrusted) readAgain(r *Reader) error {
	body, err := r.again(e.from)
	if err != nil {
		return err
	}
	defer body.Close()
	var same keyed
	same.like(&e.passed)
	n, err := io.Copy(io.MultiWriter(e.hash, &same), io.LimitReader(body, r.read-e.from))
	switch {
	case err != nil:
		return err
	case n < r.read-e.from || same.sum() != e.passed.sum():
		return &ovf.IntegrityError{Package: r.c.pkg, File: r.name, Reason: "its bytes have changed since they were read before"}
	}
	n, err = io.Copy(e.hash, body)
	if r.read += n; err != nil {
		return err
	}
	switch {
	case r.read < r.size:
		return r.wrongSize("ends before")
	case r.read > r.size:
		return r.wrongSize("goes on after")
	}
	return nil
}
