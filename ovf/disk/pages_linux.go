package disk

import "golang.org/x/sys/unix"

// wantLargePages asks for large pages where p lies, which begins with one. Not
// having them does no harm.
func wantLargePages(p []byte) { _ = unix.Madvise(p, unix.MADV_HUGEPAGE) }
