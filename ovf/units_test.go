package ovf_test

import (
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// AC-16.
func TestAC16Quantity(t *testing.T) {
	tests := []struct {
		quantity, unit, base string
		want                 int64
		err                  string
	}{
		{"8", "byte * 2^30", "byte", 8 << 30, ""},
		{"8", "byte*2^30", "byte", 8 << 30, ""},
		{"8", "byte * 2 ^ 30", "byte", 8 << 30, ""},
		{"8", "2^30 * byte", "byte", 8 << 30, ""},
		{"3", "byte * 1024 * 2^10", "byte", 3 << 20, ""},
		{"3", "byte*1024*1024", "byte", 3 << 20, ""},
		{"5", "byte * 10^9", "byte", 5_000_000_000, ""},
		{"5", "byte", "byte", 5, ""},
		{"5", "", "byte", 5, ""},
		{"5", " Bytes ", "byte", 5, ""},
		{"2", "KiloBytes", "byte", 2048, ""},
		{"2", "MegaBytes", "byte", 2 << 20, ""},
		{"2", "GigaBytes", "byte", 2 << 30, ""},
		{"2", "MB", "byte", 2 << 20, ""},
		{"2", "GiB", "byte", 2 << 30, ""},
		{"16", "bit", "byte", 2, ""},
		{"1", "bit * 2^13", "byte", 1024, ""},
		{"4", "2^20", "byte", 4 << 20, ""},
		{"4096", "byte / 2^10", "byte", 4, ""},
		{"4", "byte * 2^-1", "byte", 2, ""},
		{"300", "hertz * 10^6", "hertz", 300_000_000, ""},
		{"300", "Hertz*10^6", "hertz", 300_000_000, ""},
		{"3", "MHz", "hertz", 3_000_000, ""},
		{"1", "bit / second * 10^9", "bit / second", 1_000_000_000, ""},
		{"9223372036854775807", "byte", "byte", 1<<63 - 1, ""},
		{"0", "byte * 2^62", "byte", 0, ""},
		{"18446744073709551616", "byte / 2^10", "byte", 1 << 54, ""},
		{"9223372036854775808", "byte", "byte", 0, "overflow"},
		{"8589934592", "byte * 2^30", "byte", 0, "overflow"},
		{"1", "byte * 2^100", "byte", 0, "overflow"},
		{"1", "byte * 2^255 * 2^255", "byte", 0, "overflow"},
		{"1", "byte * 2^999999999", "byte", 0, "exponent"},
		{"3", "byte / 2", "byte", 0, "not a whole number"},
		{"7", "bit", "byte", 0, "not a whole number"},
		{"1.5", "byte", "byte", 0, "not a whole"},
		{"-1", "byte", "byte", 0, "not a whole"},
		{"", "byte", "byte", 0, "not a whole"},
		{"x", "byte", "byte", 0, "not a whole"},
		{"1", "hertz", "byte", 0, "is of hertz, expected byte"},
		{"1", "byte *", "byte", 0, "missing"},
		{"1", "byte ** 2", "byte", 0, "missing"},
		{"1", "0 * byte", "byte", 0, "neither"},
		{"1", "furlong", "byte", 0, "neither"},
		{"1", "byte * -2", "byte", 0, "neither"},
		{"1", strings.Repeat("2*", 200) + "byte", "byte", 0, "longer"},
	}
	for _, tt := range tests {
		got, err := ovf.Quantity(tt.quantity, tt.unit, tt.base)
		switch {
		case tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("%s of %q = %d, %v, want %d", tt.quantity, tt.unit, got, err, tt.want)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s of %q = %d, %v, want an error with %q", tt.quantity, tt.unit, got, err, tt.err)
		}
	}
	if u, err := ovf.ParseUnits("MegaBytes"); err != nil || !u.Deprecated {
		t.Errorf("MegaBytes: %+v, %v", u, err)
	}
	if u, err := ovf.ParseUnits("byte * 2^20"); err != nil || u.Deprecated {
		t.Errorf("byte * 2^20: %+v, %v", u, err)
	}
}
