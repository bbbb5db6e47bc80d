package vhdx

// usage tells which MiB of an image are something's: everything in a VHDX begins
// at a whole one ([MS-VHDX] 2.2).
type usage struct{ bits []uint64 }

// newUsage is that of an image of length bytes in which regions lie.
func newUsage(length int64, in ...region) *usage {
	u := &usage{bits: make([]uint64, length/mib/64+1)}
	for _, g := range in {
		u.take(g)
	}
	return u
}

// take gives a region to something, false where part of it was something's
// already.
func (u *usage) take(g region) bool {
	if g.at < 0 {
		return false
	}
	free := true
	for i := g.at / mib; i < (g.at+g.n+mib-1)/mib && i/64 < int64(len(u.bits)); i++ {
		free = free && u.bits[i/64]&(1<<(i%64)) == 0
		u.bits[i/64] |= 1 << (i % 64)
	}
	return free
}
