package ovf_test

import "testing"

// TestCapacityWithUnit: a unit behind the number, where there is no other.
func TestCapacityWithUnit(t *testing.T) {
	for capacity, want := range map[string]int64{`"10GB"`: 10 << 30, `"1536MB"`: 1536 << 20, `"7 GigaBytes"`: 7 << 30, `"9 bytes"`: 9,
		`"10GB" o:capacityAllocationUnits="byte"`: -1, `"GB"`: -1, `"10MHz"`: -1, `"1.5GB"`: -1, `"10*2^30"`: -1, `"9223372036854775807GB"`: -1} {
		h := single(t, `<DiskSection><Info/><Disk o:diskId="d" o:capacity=`+capacity+`/></DiskSection>`, "")
		n, err := h.Envelope().Disks()[0].CapacityBytes()
		if want < 0 && err == nil || want >= 0 && (err != nil || n != want) {
			t.Errorf("%s: %d, %v, want %d", capacity, n, err, want)
		}
	}
}
