package vmdk

// grainSet is a set of grain numbers that takes memory only for the grain
// tables that have a member.
type grainSet struct {
	tables map[int64]*[tableEntries / 64]uint64
	n      int64
}

// add reports false when g was a member already.
func (s *grainSet) add(g int64) bool {
	if s.tables == nil {
		s.tables = make(map[int64]*[tableEntries / 64]uint64)
	}
	t := s.tables[g/tableEntries]
	if t == nil {
		t = new([tableEntries / 64]uint64)
		s.tables[g/tableEntries] = t
	}
	word, bit := &t[g%tableEntries/64], uint64(1)<<(g%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	s.n++
	return true
}

func (s *grainSet) has(g int64) bool {
	t := s.tables[g/tableEntries]
	return t != nil && t[g%tableEntries/64]&(1<<(g%64)) != 0
}
