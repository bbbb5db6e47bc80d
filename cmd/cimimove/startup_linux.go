package main

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// forgetStartup gives back the pages of the program's own file that its start has
// touched: 34 of 50 MiB, which would count as memory in use until it ends. Little
// of it is asked for again, and that the kernel maps anew out of its cache.
func forgetStartup() {
	exe, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range unchanged(maps, exe) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// unchanged are the mappings of a file in a text of /proc/PID/smaps that cannot
// be written to and hold nothing but what the file does, in memory or swapped out: a
// linker may have changed what is only read since.
func unchanged(smaps []byte, file string) (out []mapping) {
	own := false // the last of out is to be looked at
	for line := range bytes.Lines(smaps) {
		first, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		if from, to, ok := bytes.Cut(first, []byte("-")); ok {
			// from-to perm offset device inode   path
			own = bytes.HasPrefix(rest, []byte("r-")) && len(rest) > 3 && rest[3] == 'p' && bytes.HasSuffix(rest, []byte(" "+file))
			if own {
				out = append(out, mappingOf(from, to))
			}
			continue
		}
		if own && (string(first) == "Anonymous:" || string(first) == "Swap:") && string(bytes.TrimSpace(rest)) != "0 kB" {
			out, own = out[:len(out)-1], false
		}
	}
	return out
}

// mappingOf is empty where its ends are no addresses.
func mappingOf(from, to []byte) mapping {
	a, err := strconv.ParseUint(string(from), 16, 64)
	b, err2 := strconv.ParseUint(string(to), 16, 64)
	if err != nil || err2 != nil || a >= b {
		return mapping{}
	}
	return mapping{uintptr(a), uintptr(b)}
}
