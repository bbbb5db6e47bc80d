package migrate

import (
	"context"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/migrate/stage"
	"github.com/cimimove/cimimove/ovf"
)

// mayStage tells whether the package can wait in the place that was asked for.
func (w *ways) mayStage(ctx context.Context) (ok bool, why string) {
	switch {
	case !w.exports:
		return false, "the source offers no export of it"
	case !w.imports:
		return false, w.noImport
	case w.opts.Stage == "":
		return false, "--stage names the folder or s3://bucket/prefix where the package waits"
	}
	place, err := stage.Open(w.opts.Stage, w.opts.Objects)
	if err != nil {
		return false, err.Error()
	}
	defer place.Close()
	free, err := place.Free(ctx)
	if err != nil {
		return false, err.Error()
	}
	w.Stage = place.String()
	w.room(free)
	return true, "the package waits in " + w.Stage + " between export and import, as was asked for"
}

// room judges how much is free where the package waits; negative: nobody knows.
func (w *ways) room(free int64) {
	if known := w.populated(); free >= 0 && free < known {
		w.find(RuleStageSpace, ovf.Error, w.Stage, "has room for "+size(free)+", the package needs "+size(known)+" and more", "--stage names a larger place")
	} else if free >= 0 && free < w.Bytes {
		w.find(RuleStageSpace, ovf.Warning, w.Stage, "has room for "+size(free)+", the package may need "+size(w.Bytes), "--stage names a larger place")
	}
}

// populated is how much of the disks is known to hold content.
func (w *ways) populated() int64 {
	var n int64
	for _, d := range w.Disks {
		n += d.PopulatedBytes
	}
	return n
}

func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
