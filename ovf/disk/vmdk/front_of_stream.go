package vmdk

// FrontOfStream is how many bytes of a streamOptimized image come before its
// grains, which have their tables behind them: with those in front, a stream
// that begins at any grain can be decoded. head is the start of the image, of
// at least disk.HeaderSize bytes; ok is false for anything else.
func FrontOfStream(head []byte) (n int64, ok bool) {
	if len(head) < sector {
		return 0, false
	}
	h, err := parseHeader("", 0, head[:sector])
	if err != nil || h.checkPlaces("") != nil || !h.compressed() || h.directory < h.overhead && h.directory != 0 {
		return 0, false
	}
	return int64(h.overhead) * sector, true
}
