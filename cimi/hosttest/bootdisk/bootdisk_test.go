package bootdisk_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest/bootdisk"
)

// TestBoots: the disk comes up on buses that other tests do not use. Linux does
// not see a disk without a world wide name on the SAS controller.
func TestBoots(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("set CIMIMOVE_E2E=1 to run it")
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		if os.Getenv("CIMIMOVE_CI") != "" {
			t.Fatal("qemu-system-x86_64 is not installed")
		}
		t.Skip("qemu-system-x86_64 is not installed")
	}
	path, uefi := filepath.Join(t.TempDir(), "disk.raw"), filepath.Join(t.TempDir(), "uefi.raw")
	bootdisk.Build(t, path, "wl-0007", bootdisk.Options{})
	bootdisk.Build(t, uefi, "wl-0007", bootdisk.Options{UEFI: true})
	const code = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	if _, err := os.Stat(code); err != nil && os.Getenv("CIMIMOVE_CI") != "" {
		t.Fatal("package ovmf is not installed")
	}
	for bus, args := range map[string][]string{
		"pvscsi": {"-drive", "file=" + path + ",format=raw,if=none,id=d", "-device", "pvscsi", "-device", "scsi-hd,drive=d"},
		"mptsas": {"-drive", "file=" + path + ",format=raw,if=none,id=d", "-device", "mptsas1068", "-device", "scsi-hd,drive=d,wwn=0x5000c50015ea71ad"},
		"nvme":   {"-drive", "file=" + path + ",format=raw,if=none,id=d", "-device", "nvme,serial=1,drive=d"},
		"uefi": {"-machine", "q35", "-drive", "if=pflash,unit=0,readonly=on,format=raw,file=" + code,
			"-drive", "if=pflash,unit=1,format=raw,file=/usr/share/OVMF/OVMF_VARS_4M.fd", "-drive", "file=" + uefi + ",format=raw,if=virtio"},
	} {
		if _, err := os.Stat(code); err != nil && bus == "uefi" {
			t.Log("not booted by UEFI: package ovmf is not installed")
			continue
		}
		out, err := exec.Command("timeout", append([]string{"60", qemu, "-accel", "tcg", "-m", "256", "-nographic", "-no-reboot", "-snapshot"}, args...)...).CombinedOutput()
		if !bytes.Contains(out, []byte(bootdisk.Marker+"wl-0007 cpus=1 ")) {
			t.Errorf("%s: it does not come up: %v: %s", bus, err, out)
		}
	}
}
