package disk

import "iter"

// Merged joins adjacent extents of seq that are of one kind, and leaves out
// empty ones. It ends after the first error.
func Merged(seq iter.Seq2[Extent, error]) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		var run Extent
		for e, err := range seq {
			switch {
			case err != nil:
				if run.Length == 0 || yield(run, nil) {
					yield(Extent{}, err)
				}
				return
			case e.Length == 0:
			case run.Length > 0 && e.Zero == run.Zero && e.Offset == run.Offset+run.Length:
				run.Length += e.Length
			case run.Length > 0 && !yield(run, nil):
				return
			default:
				run = e
			}
		}
		if run.Length > 0 {
			yield(run, nil)
		}
	}
}
