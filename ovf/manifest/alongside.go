package manifest

import "hash"

// Alongside digests p while write, which may not change it, writes it. After an
// error the digest is of no use.
func Alongside(h hash.Hash, p []byte, write func(p []byte) (int, error)) (int, error) {
	if len(p) < parallelFrom {
		h.Write(p)
		return write(p)
	}
	written := make(chan struct{})
	var n int
	var err error
	go func() {
		defer close(written)
		n, err = write(p)
	}()
	h.Write(p)
	<-written
	return n, err
}
