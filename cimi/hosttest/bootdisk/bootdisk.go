// Package bootdisk builds a small disk that really boots, for tests that start
// what was moved: an MBR with a FAT partition (syslinux, a Debian kernel, an
// initramfs with the drivers of every bus), or a GPT with the same as an EFI
// system partition (systemd-boot), and an ext4 partition with the payload, which
// it mounts, so that a disk whose content is not what it was does not come up. It
// needs Debian's packages and no root.
//
// Booted, the payload says on the serial console
//
//	CIMIMOVE-BOOT-OK id=ID cpus=N memkb=N up=SECONDS
//
// and powers off, or waits for the power button.
package bootdisk

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Marker begins the line that a machine says when it is up.
const Marker = "CIMIMOVE-BOOT-OK id="

// Size of the disk in bytes.
const Size = 42 << 20

// Options of Build.
type Options struct {
	// Stay leaves the machine running until its power button is pressed;
	// otherwise it powers off when it has said that it is up.
	Stay bool
	// UEFI makes a disk that UEFI boots, and nothing else; otherwise BIOS does.
	UEFI bool
}

//go:embed init
var initScript []byte

//go:embed payload
var payloadScript []byte

// programs that building takes, with their packages.
var programs = map[string]string{"apt-get": "apt", "dpkg-deb": "dpkg", "syslinux": "syslinux", "mformat": "mtools", "sfdisk": "fdisk", "mkfs.ext4": "e2fsprogs",
	"cpio": "cpio", "gzip": "gzip"}

// Missing says what of the programs is not installed, empty for nothing.
func Missing() string {
	var out []string
	for p, pkg := range programs {
		if _, err := exec.LookPath(p); err != nil {
			out = append(out, p+" (package "+pkg+")")
		}
	}
	return strings.Join(out, ", ")
}

// Build makes the disk at path, raw. The test is skipped where a program is
// missing, and fails where it is and CIMIMOVE_CI is set.
func Build(t testing.TB, path, id string, opts Options) {
	t.Helper()
	if missing := Missing(); missing != "" {
		if os.Getenv("CIMIMOVE_CI") != "" {
			t.Fatalf("not installed: %s", missing)
		}
		t.Skipf("not installed: %s", missing)
	}
	base, err := boot()
	if err == nil {
		err = build(path, base, id, opts)
	}
	if err != nil {
		t.Fatalf("bootdisk: %v", err)
	}
}

func run(dir string, stdin []byte, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, b)
	}
	return nil
}

var once = sync.OnceValues(makeBoot)

// boot is the FAT partition, made once for all processes.
func boot() (string, error) { return once() }

func makeBoot() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "cimimove-bootdisk")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	kernel, err := kernelPackage()
	if err != nil {
		return "", err
	}
	image := filepath.Join(cache, fmt.Sprintf("%s-%x.fat", kernel, sum(initScript)))
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	for _, p := range []string{kernel, "busybox-static", "systemd-boot-efi"} {
		if there, _ := filepath.Glob(filepath.Join(cache, p+"_*.deb")); len(there) == 0 {
			if err := run(cache, nil, "apt-get", "download", "-q", p); err != nil {
				return "", err
			}
		}
	}
	work, err := os.MkdirTemp("", "bootdisk")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := run(work, initScript, "bash", "-euo", "pipefail", "-c", bootScript, "boot", cache, kernel, image+".new"); err != nil {
		return "", err
	}
	return image, os.Rename(image+".new", image)
}

func sum(b []byte) (n uint32) {
	for _, c := range append(b, bootScript...) {
		n = n*31 + uint32(c)
	}
	return n
}

// kernelPackage is the kernel that the package of Debian's cloud kernel means now.
func kernelPackage() (string, error) {
	out, err := exec.Command("apt-cache", "depends", "linux-image-amd64").Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache: %w; apt-get update comes first", err)
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return "linux-image-" + name, nil
		}
	}
	return "", fmt.Errorf("apt-cache knows no linux-image-amd64; apt-get update comes first")
}

// bootScript makes the FAT partition: arguments are the cache, the kernel's
// package and where to; standard input is the initramfs's init.
const bootScript = `
cache=$1 kernel=$2 out=$3
mkdir -p ir/bin ir/dev ir/proc ir/sys ir/mnt ir/lib mods
cat > ir/init
chmod 755 ir/init
dpkg-deb -x "$cache"/busybox-static_*.deb bb
install -m 755 "$(find bb -path '*bin/busybox' -type f | head -n 1)" ir/bin/busybox
ln -s busybox ir/bin/sh
dpkg-deb -x "$(ls "$cache/$kernel"_*.deb | head -n 1)" mods
cp mods/boot/vmlinuz-* vmlinuz
n=100
for m in crc16 crc32c_generic crc32c-intel crct10dif_common crct10dif_generic crc-t10dif crc64 crc64_rocksoft_generic crc64_rocksoft crc64-rocksoft t10-pi \
  virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk scsi_common scsi_mod sd_mod libata ata_piix \
  libahci ahci nvme-common nvme-core nvme virtio_scsi raid_class scsi_transport_sas mptbase mptscsih mptsas vmw_pvscsi usb-common usbcore xhci-hcd xhci-pci \
  usb-storage mbcache jbd2 ext4 button evdev; do
  # Each after what it needs: under emulation a second try of all takes seconds.
  f=$(find mods -name "$m.ko" | head -n 1); [ -z "$f" ] || cp "$f" ir/lib/$((n++))-$m.ko
done
(cd ir && find . | cpio -o -H newc --quiet | gzip -9) > initrd.img
truncate -s 32M fat.img
mformat -i fat.img -h 64 -t 32 -s 32 -v BOOT -c 4 ::
mcopy -i fat.img vmlinuz ::vmlinuz
mcopy -i fat.img initrd.img ::initrd.img
printf 'SERIAL 0 115200\nPROMPT 0\nTIMEOUT 1\nDEFAULT l\nLABEL l\nLINUX vmlinuz\nINITRD initrd.img\nAPPEND console=ttyS0,115200 quiet panic=1 mitigations=off nokaslr\n' > syslinux.cfg
mcopy -i fat.img syslinux.cfg ::
syslinux --install fat.img
dpkg-deb -x "$cache"/systemd-boot-efi_*.deb efi
printf 'timeout 0\ndefault linux.conf\n' > loader.conf
printf 'title l\nlinux /vmlinuz\ninitrd /initrd.img\noptions console=ttyS0,115200 quiet panic=1 mitigations=off nokaslr\n' > linux.conf
mmd -i fat.img ::EFI ::EFI/BOOT ::loader ::loader/entries
mcopy -i fat.img efi/usr/lib/systemd/boot/efi/systemd-bootx64.efi ::EFI/BOOT/BOOTX64.EFI
mcopy -i fat.img loader.conf ::loader/
mcopy -i fat.img linux.conf ::loader/entries/
cp fat.img "$out"
`

// build puts the partitions together.
func build(path, base, id string, opts Options) error {
	work, err := os.MkdirTemp("", "bootdisk")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	cache := filepath.Dir(base)
	stay := ""
	if opts.Stay {
		stay = "stay"
	}
	table := "dos"
	if opts.UEFI {
		table = "gpt"
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return run(work, payloadScript, "bash", "-euo", "pipefail", "-c", diskScript, "disk", cache, base, abs, id, stay, table)
}

const diskScript = `
cache=$1 fat=$2 out=$3 id=$4 stay=$5 table=$6
mkdir -p root/bin root/sbin root/etc root/dev root/proc root/sys
cat > root/sbin/init
chmod 755 root/sbin/init
dpkg-deb -x "$cache"/busybox-static_*.deb bb
install -m 755 "$(find bb -path '*bin/busybox' -type f | head -n 1)" root/bin/busybox
ln -s busybox root/bin/sh
echo "$id" > root/etc/workload-id
[ -z "$stay" ] || touch root/etc/stay
truncate -s 8M ext.img
mkfs.ext4 -q -O ^has_journal -d root ext.img
rm -f "$out"
truncate -s 42M "$out"
if [ "$table" = gpt ]; then
  printf 'label: gpt\nstart=2048,size=65536,type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\nstart=67584,size=16384,type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n' | sfdisk -q "$out"
else
  printf 'label: dos\nstart=2048,size=65536,type=6,bootable\nstart=67584,size=16384,type=83\n' | sfdisk -q "$out"
  dd if="$(ls /usr/lib/syslinux/mbr/mbr.bin /usr/lib/SYSLINUX/mbr.bin 2>/dev/null | head -n 1)" of="$out" bs=440 count=1 conv=notrunc status=none
fi
dd if="$fat" of="$out" bs=1M seek=1 conv=notrunc,sparse status=none
dd if=ext.img of="$out" bs=1M seek=33 conv=notrunc,sparse status=none
`
