package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
)

// backupXML is what DomainBackupBegin takes, and what is read of a job. Disks
// that are not named take no part.
type backupXML struct {
	XMLName xml.Name        `xml:"domainbackup"`
	Mode    string          `xml:"mode,attr"`
	Disks   []backupDiskXML `xml:"disks>disk"`
}

type backupDiskXML struct {
	Name   string         `xml:"name,attr"` // as the domain's target has it
	Type   string         `xml:"type,attr"`
	Driver diskDriverXML  `xml:"driver"`
	Target *diskSourceXML `xml:"target"`
}

// of tells whether a job writes the copies of a snapshot.
func (x *backupXML) of(snapshot string) bool {
	for _, d := range x.Disks {
		if d.Target != nil && strings.Contains(first(d.Target.File, d.Target.Dev), copyVolumes(snapshot)) {
			return true
		}
	}
	return false
}

// jobOf is what a domain's backup job is doing; nil where it has none.
func jobOf(l *lv.Libvirt, d lv.Domain) (*backupXML, error) {
	text, err := l.DomainBackupGetXMLDesc(d, 0)
	if is(err, lv.ErrNoDomainBackup) {
		return nil, nil
	}
	x := &backupXML{}
	if err == nil {
		err = xml.Unmarshal([]byte(text), x)
	}
	return x, err
}

// beginBackup has a machine that runs copy its disks, as they all are at this
// moment, into volumes that are there: what it overwrites meanwhile is copied
// first. The job goes on by itself. From that moment on the machine keeps track of
// what is written to those of marks, unless it cannot.
func (h *Host) beginBackup(ctx context.Context, machineID, snapshot string, disks []backupDiskXML, marks []string) (marked bool, err error) {
	b, err := xml.Marshal(backupXML{Mode: "push", Disks: disks})
	if err != nil {
		return false, err
	}
	if len(marks) > 0 {
		point, err := checkpoint(snapshot, marks)
		if err != nil {
			return false, err
		}
		err = h.beginJob(ctx, machineID, snapshot, string(b), lv.OptString{point})
		if err == nil || ctx.Err() != nil || errors.Is(err, host.ErrBusy) || !refused(err) {
			return err == nil, err
		}
	}
	return false, h.beginJob(ctx, machineID, snapshot, string(b), nil)
}

// refused tells whether libvirt has said that it does not.
func refused(err error) bool {
	var e lv.Error
	return errors.As(err, &e)
}

func (h *Host) beginJob(ctx context.Context, machineID, snapshot, job string, point lv.OptString) error {
	tries := 0
	return h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
		if tries++; tries > 1 { // the connection was lost
			if x, err := jobOf(l, d); err == nil && x != nil && x.of(snapshot) {
				return nil
			}
		}
		err := l.DomainBackupBegin(d, job, point, lv.DomainBackupBeginReuseExternal)
		if is(err, lv.ErrOperationTimeout) || is(err, lv.ErrOperationInvalid) && strings.Contains(err.Error(), "job") {
			return fmt.Errorf("domain %s has another job: %w: %w", d.Name, host.ErrBusy, err)
		}
		return full(err)
	})
}

const (
	// backupPoll is how often a job is looked at, at first and at most.
	backupPoll, backupPollMost = 50 * time.Millisecond, time.Second
	// abortTimeout bounds the wait for a job that was told to end.
	abortTimeout = 30 * time.Second
)

// backedUp waits until a machine has copied its disks, one of which is dev.
//
// libvirt says that a job has ended before QEMU has let go of what it wrote, the
// tables of a qcow2 last: it does so in a job of its own, which a question that
// takes one waits for.
func (h *Host) backedUp(ctx context.Context, machineID, snapshot, dev string) error {
	for wait := backupPoll; ; wait = min(2*wait, backupPollMost) {
		done := false
		err := h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
			x, err := jobOf(l, d)
			if err != nil || x != nil && x.of(snapshot) {
				return err
			}
			done = true
			if err := ended(l, d); err != nil {
				return err
			}
			_, _, _, err = l.DomainGetBlockInfo(d, dev, 0)
			return err
		})
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// ended says how the last job of a domain ended.
func ended(l *lv.Libvirt, d lv.Domain) error {
	kind, params, err := l.DomainGetJobStats(d, lv.DomainJobStatsCompleted|lv.DomainJobStatsKeepCompleted)
	if err != nil {
		return fmt.Errorf("domain %s: how its backup ended: %w", d.Name, err)
	}
	said, operation := "", any(nil)
	for _, p := range params {
		switch p.Field {
		case lv.DomainJobErrmsg:
			said, _ = p.Value.I.(string)
		case lv.DomainJobOperationStr:
			operation = p.Value.I
		}
	}
	switch {
	case operation != int32(lv.DomainJobOperationStrBackup):
		return fmt.Errorf("domain %s: the backup of its disks is gone", d.Name)
	case lv.DomainJobType(kind) == lv.DomainJobCompleted:
		return nil
	case said == "":
		return fmt.Errorf("domain %s: the backup of its disks was broken off", d.Name)
	}
	return full(fmt.Errorf("domain %s: the backup of its disks failed: %s", d.Name, said))
}

// abortBackup ends what a machine still copies for a snapshot; another job is not
// touched. That there is none, or no such machine, is no error.
func (h *Host) abortBackup(ctx context.Context, machineID, snapshot string) error {
	for began := time.Now(); ; {
		running := false
		err := h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
			x, err := jobOf(l, d)
			if running = err == nil && x != nil && x.of(snapshot); !running {
				return err
			}
			if err := l.DomainAbortJob(d); err != nil && !is(err, lv.ErrOperationInvalid) {
				return err // else it ends already
			}
			return nil
		})
		if errors.Is(err, host.ErrNotFound) || is(err, lv.ErrNoDomain) || is(err, lv.ErrOperationInvalid) {
			return nil // it is gone, or does not run
		}
		if err != nil || !running {
			return err
		}
		if time.Since(began) > abortTimeout {
			return fmt.Errorf("machine %s: the backup of its disks does not end: %w", machineID, host.ErrBusy)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(backupPoll):
		}
	}
}
