package host

import (
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// cpuArch is the architecture as DSP0263 T16 spells it: what the processor
// Item says, else the guest system, else empty (mapping.md).
func cpuArch(c ovf.Content, hw ovf.VirtualHardware, configuration string) string {
	for _, it := range hw.EffectiveItems(configuration) {
		if it.ResourceType != ovf.ResourceProcessor {
			continue
		}
		switch strings.ToLower(it.ResourceSubType) {
		case "x86_64", "amd64", "x86-64":
			return "x86_64"
		case "x86", "i386", "i686":
			return "x86"
		case "arm", "arm64", "aarch64":
			return "ARM"
		}
	}
	os, ok := c.OperatingSystem()
	if !ok {
		return ""
	}
	for _, vendor := range []string{os.VMwareType, os.VBoxType} {
		vendor = strings.ToLower(vendor)
		switch {
		case strings.Contains(vendor, "arm"):
			return "ARM"
		case strings.Contains(vendor, "_64"), strings.HasSuffix(vendor, "64guest"), strings.HasSuffix(vendor, "64"):
			return "x86_64"
		}
	}
	switch {
	case x8664[os.ID]:
		return "x86_64"
	case os.ID == 9:
		return "POWER"
	case os.ID == 68:
		return "z/Architecture"
	}
	return ""
}

// x8664 are the values of CIM_OperatingSystem.OsType that are named 64-Bit,
// but for 81 (Windows Server 2003 64-Bit was Itanium's too).
var x8664 = map[int]bool{
	70: true, 74: true, 80: true, 82: true, 84: true, 86: true, 88: true, 90: true, 92: true, 94: true,
	96: true, 98: true, 100: true, 102: true, 104: true, 106: true, 108: true, 110: true, 112: true, 113: true,
	114: true, 115: true, 116: true, 119: true, 120: true, 121: true,
}
