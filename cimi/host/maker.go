package host

import (
	"context"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Maker is a Host on which Systems are made and changed part by part, without
// a package. Parts that belong to no System live in a System of their own whose
// Holder says what it is for.
type Maker interface {
	// Make stores a System with all its parts, whose ids the caller has chosen
	// (NewID). Each disk is filled by fill, or stays blank where fill is nil.
	// All or nothing, as Import is. s is complete afterwards.
	Make(ctx context.Context, s *System, fill Fill) error
	// Alter changes the parts of a System. The disks given are made first;
	// change then gets the System as it is and must put each of them in. Disks
	// that the System does not hold afterwards are removed. A disk with the id of
	// one that is there and a higher Generation takes its place, in one step.
	// change may be called only once, and nothing has happened when it fails.
	Alter(ctx context.Context, id string, disks []*Disk, fill Fill, change func(*System) error) (*System, error)
}

// Mover is a Maker that moves parts from one System into another.
type Mover interface {
	// Move changes two Systems in one step, as Alter does, without making or
	// removing disks: each disk must be in one of them afterwards. Where from
	// has a Holder and no part left, it is removed.
	Move(ctx context.Context, from, to string, change func(from, to *System) error) error
}

// Fill writes the content of a disk and records ContentBytes and ContentDigest
// in d; without content it does nothing, not even Begin.
type Fill func(ctx context.Context, d *Disk, sink disk.Sink) error

// What a System that is none holds.
const (
	HoldsMachine      = "machine"
	HoldsVolume       = "volume"
	HoldsNetwork      = "network"
	HoldsMachineImage = "machineImage" // a machine as it was, with copies of its disks
	HoldsVolumeImage  = "volumeImage"
	HoldsTemplate     = "template" // the package that a SystemTemplate was imported from
)

// CopyOf fills a disk from an image, data only. Progress may be nil.
func CopyOf(img disk.Image, progress disk.Progress) Fill {
	return func(ctx context.Context, d *Disk, sink disk.Sink) error {
		res, err := disk.Copy(ctx, img, sized{sink, max(d.CapacityBytes, wholeSectors(img.Size())), d}, disk.EncodeOptions{Progress: progress})
		if err != nil {
			return noSpace("disk "+d.Name, d.CapacityBytes, err)
		}
		d.ContentBytes, d.ContentDigest = res.Digest.Size, res.Digest.String()
		return nil
	}
}

// sized is a sink of a disk that may be larger than what comes.
type sized struct {
	disk.Sink
	size int64
	d    *Disk
}

func (s sized) Begin(info disk.Info) error {
	info.Size, s.d.CapacityBytes = s.size, s.size
	return s.Sink.Begin(info)
}
