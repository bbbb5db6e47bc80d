package local

import (
	"os"
	"syscall"
)

// Of fallocate(2) and ioctl_ficlone(2).
const (
	keepSize  = 0x01
	punchHole = 0x02
	ficlone   = 0x40049409
)

// clearRange makes a hole of bytes of a file, which reads as zeros.
func clearRange(f *os.File, off, n int64) error {
	return syscall.Fallocate(int(f.Fd()), keepSize|punchHole, off, n)
}

// clone makes dst share the content of src, where the file system can.
func clone(dst, src *os.File) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dst.Fd(), ficlone, src.Fd()); errno != 0 {
		return errno
	}
	return nil
}
