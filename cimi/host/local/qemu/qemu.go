// Package qemu runs machines with the qemu-system program of this machine, one
// process each, and talks to them over QMP (QEMU's own protocol).
//
// It promises that a machine outlives whoever started it: its process is of a
// session of its own, what it needs lies in a folder, and Attach finds it again
// there.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Program finds the emulator; the error says what to install.
func Program() (string, error) {
	p, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return "", errors.New("qemu-system-x86_64 is not installed (package qemu-system-x86)")
	}
	return p, nil
}

// Config of a machine.
type Config struct {
	Name string
	// KVM accelerates the machine where that can be had at its start; see Broken.
	KVM         bool
	CPUs        int
	MemoryBytes int64
	// EFI boots by UEFI: Code and Vars are the firmware and a copy of its
	// variables that the machine may write.
	EFI        bool
	Code, Vars string
	SecureBoot bool // Code is firmware that needs its memory protected
	Disks      []Disk
	Cards      []Card
}

// Disk is a raw image on a bus: ide, scsi, sata, nvme, virtio, usb.
type Disk struct {
	Path      string
	Bus       string
	Boot      int // order; 0 is none
	ReadOnly  bool
	CD        bool
	Shared    bool
	SCSIModel string // of the controller, as QEMU calls it; empty is virtio-scsi-pci
	WWN       string // world wide name, 16 hexadecimal digits, without which SAS disks are not seen
}

// Card is a network card on QEMU's user-mode network.
type Card struct {
	MAC   string // empty lets QEMU choose
	Model string // as QEMU calls it; empty is virtio-net-pci
	Down  bool
}

// Names of files in a machine's folder.
const (
	SerialLog = "serial.log" // what the guest wrote to its first serial port; kept over restarts
	socket    = "qmp.sock"
	pidFile   = "pid"
	output    = "qemu.log"
)

// arguments of the program, whose working folder is the machine's.
func (c Config) arguments() []string {
	chipset := "pc"
	machine := chipset
	if c.EFI {
		chipset, machine = "q35", "q35"
	}
	if c.SecureBoot {
		machine += ",smm=on"
	}
	args := []string{"-name", "guest=" + escape(c.Name), "-machine", machine, "-cpu", "max",
		"-m", strconv.FormatInt(max(c.MemoryBytes>>20, 64), 10), "-smp", strconv.Itoa(max(c.CPUs, 1)),
		"-no-user-config", "-nodefaults", "-display", "none", "-device", "VGA", "-S",
		"-chardev", "file,id=serial,path=" + SerialLog + ",append=on", "-serial", "chardev:serial",
		"-qmp", "unix:" + socket + ",server=on,wait=off", "-pidfile", pidFile}
	if c.KVM {
		args = append(args, "-accel", "kvm")
	}
	args = append(args, "-accel", "tcg") // the first that works
	if c.SecureBoot {
		args = append(args, "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1")
	}
	if c.EFI {
		args = append(args, "-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+escape(c.Code),
			"-drive", "if=pflash,format=raw,unit=1,file="+escape(c.Vars))
	}
	args = append(args, c.disks(chipset)...)
	for i, n := range c.Cards {
		device := n.Model
		if device == "" {
			device = "virtio-net-pci"
		}
		device += fmt.Sprintf(",netdev=net%d,id=card%d", i, i)
		if n.MAC != "" {
			device += ",mac=" + escape(n.MAC)
		}
		args = append(args, "-netdev", fmt.Sprintf("user,id=net%d", i), "-device", device)
	}
	return args
}

// disks puts each disk on a controller of its bus. IDE has four places; the
// chipset of UEFI has no IDE at all.
func (c Config) disks(chipset string) (args []string) {
	ide, sata, usb := 0, 0, false
	scsi := map[string]int{}
	for i, d := range c.Disks {
		drive := fmt.Sprintf("if=none,id=disk%d,format=raw,file=%s", i, escape(d.Path))
		if d.ReadOnly || d.CD {
			drive += ",readonly=on"
		} else {
			drive += ",discard=unmap,detect-zeroes=unmap"
		}
		kind := "hd"
		if d.CD {
			kind = "cd"
		}
		bus := d.Bus
		if bus == "ide" && (chipset == "q35" || ide == 4) {
			bus = "sata"
		}
		var device string
		switch bus {
		case "ide":
			device = fmt.Sprintf("ide-%s,bus=ide.%d,unit=%d", kind, ide/2, ide%2)
			ide++
		case "sata":
			if sata%6 == 0 {
				args = append(args, "-device", fmt.Sprintf("ich9-ahci,id=sata%d", sata/6))
			}
			device = fmt.Sprintf("ide-%s,bus=sata%d.%d", kind, sata/6, sata%6)
			sata++
		case "scsi":
			model := d.SCSIModel
			if model == "" {
				model = "virtio-scsi-pci"
			}
			n, there := scsi[model]
			if !there {
				args = append(args, "-device", model+",id=scsi-"+model)
			}
			device = fmt.Sprintf("scsi-%s,bus=scsi-%s.0,scsi-id=%d", kind, model, n)
			if d.WWN != "" && model == "mptsas1068" {
				device += ",wwn=0x" + d.WWN
			}
			scsi[model] = n + 1
		case "usb":
			if !usb {
				args, usb = append(args, "-device", "qemu-xhci,id=usb"), true
			}
			device = "usb-storage,bus=usb.0"
		case "nvme":
			device = fmt.Sprintf("nvme,serial=disk%d", i)
		default:
			device = "virtio-blk-pci"
		}
		device += fmt.Sprintf(",drive=disk%d", i)
		if d.Boot > 0 {
			device += fmt.Sprintf(",bootindex=%d", d.Boot)
		}
		if d.Shared {
			device += ",share-rw=on"
		}
		args = append(args, "-drive", drive, "-device", device)
	}
	return args
}

// escape doubles commas, which separate QEMU's options.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// environment is what of this process's environment a machine's gets: it runs
// for months, and the credentials of who started it are none of its business.
func environment(all []string) []string {
	kept := []string{} // nil would be all
	for _, s := range all {
		switch name, _, _ := strings.Cut(s, "="); name {
		case "PATH", "HOME", "USER", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH", "TZ":
			kept = append(kept, s)
		}
	}
	return kept
}

// startTimeout bounds the time from the process to its first word.
const startTimeout = 30 * time.Second

// Start runs a machine in dir, which is made; what lay there of an earlier run
// is replaced, but for the serial log.
func Start(ctx context.Context, program, dir string, c Config) (*Machine, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{socket, pidFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(dir, output))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, c.arguments()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = environment(os.Environ())
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait() // how it ended the connection tells
		close(ended)
	}()
	fail := func(err error) (*Machine, error) {
		cmd.Process.Kill()
		<-ended
		return nil, fmt.Errorf("%w%s", err, said(dir))
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		m, err := Attach(ctx, dir)
		if err == nil {
			if err := m.begin(ctx, c); err != nil {
				m.Close()
				return fail(err)
			}
			return m, nil
		}
		select {
		case <-ended:
			return fail(errors.New("qemu ended at once"))
		case <-ctx.Done():
			return fail(context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// begin connects the cards and lets the machine go.
func (m *Machine) begin(ctx context.Context, c Config) error {
	for i, n := range c.Cards {
		if n.Down {
			if err := m.execute(ctx, "set_link", map[string]any{"name": fmt.Sprintf("card%d", i), "up": false}, nil); err != nil {
				return err
			}
		}
	}
	return m.Resume(ctx)
}

// said is the end of what the program wrote.
func said(dir string) string {
	f, err := os.Open(filepath.Join(dir, output))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if text := strings.TrimSpace(string(b)); err == nil && text != "" {
		return ": " + strings.ReplaceAll(text, "\n", "; ")
	}
	return ""
}
