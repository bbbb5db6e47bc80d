package local

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/cimimove/cimimove/cimi/host/local/qemu"
)

// kvmTrust is what is known of KVM here. On real hardware it is trusted; in a
// virtual machine /dev/kvm may be there, begin well, and not be able to go on.
type kvmTrust int

const (
	kvmUnknown kvmTrust = iota
	kvmWorks
	kvmBroken
)

const (
	// kvmTrial is how long the first machine's start is watched, and kvmDoubt how
	// long each is looked after behind its back: one that KVM cannot run stands
	// still before its system is up.
	kvmTrial = 20 * time.Second
	kvmDoubt = 3 * time.Minute
)

// trust decides whether KVM is tried.
func (r *Runner) trust() kvmTrust {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kvm != kvmUnknown {
		return r.kvm
	}
	if b, err := os.ReadFile(r.brokenFile()); err == nil && bytes.Equal(b, bootID()) {
		r.kvm = kvmBroken
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		r.kvm = kvmBroken
		return r.kvm
	}
	f.Close()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || r.kvm != kvmUnknown {
		return r.kvm
	}
	has := func(flag string) bool { return bytes.Contains(info, []byte(" "+flag+" ")) }
	switch {
	case runtime.GOARCH == "amd64" && !has("vmx") && !has("svm"):
		r.kvm = kvmBroken // done by software, which cannot boot a PC
	case !has("hypervisor"):
		r.kvm = kvmWorks
	}
	return r.kvm
}

// brokenFile says in which run of this machine's system KVM has failed.
func (r *Runner) brokenFile() string { return filepath.Join(r.dir, "run", "kvm-is-broken") }

func bootID() []byte {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return []byte("unknown")
	}
	return b
}

func (r *Runner) decide(trust kvmTrust) {
	r.mu.Lock()
	r.kvm = trust
	r.mu.Unlock()
	if trust == kvmBroken {
		if err := os.WriteFile(r.brokenFile(), bootID(), 0o600); err != nil {
			slog.Warn("KVM does not work here, and that could not be noted", "error", err)
		}
	}
}

// run starts the process, with KVM until that has shown that it does not work.
func (r *Runner) run(ctx context.Context, machineID string, c qemu.Config) (*qemu.Machine, error) {
	trust := r.trust()
	c.KVM = trust != kvmBroken
	vm, err := qemu.Start(ctx, r.program, r.folder(machineID), c)
	if trust != kvmUnknown {
		return vm, err
	}
	broken := err != nil
	if err == nil {
		if broken, err = vm.Broken(ctx, kvmTrial); err != nil {
			return nil, errors.Join(err, vm.Quit(context.WithoutCancel(ctx)))
		}
	}
	if !broken {
		r.decide(kvmWorks)
		return vm, nil
	}
	if vm != nil {
		if err := vm.Quit(ctx); err != nil {
			return nil, err
		}
	}
	c.KVM = false
	if vm, err = qemu.Start(ctx, r.program, r.folder(machineID), c); err == nil {
		r.decide(kvmBroken)
	}
	return vm, err
}

// watchKVM starts a machine again, without KVM, that KVM could not bring up.
func (r *Runner) watchKVM(machineID string, vm *qemu.Machine) {
	if r.trust() == kvmBroken {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.watches.Go(func() {
		defer cancel()
		<-vm.Done()
	})
	r.watches.Go(func() {
		broken, err := vm.Broken(ctx, kvmDoubt)
		if err != nil || !broken {
			return
		}
		r.decide(kvmBroken)
		slog.Warn("KVM could not run a machine: it is started again without", "machine", machineID)
		if err := vm.Quit(ctx); err != nil {
			slog.Error("stopping a machine that KVM could not run", "machine", machineID, "error", err)
			return
		}
		// The watch of the machine records that it has stopped.
		for r.vm(machineID) == vm {
			time.Sleep(10 * time.Millisecond)
		}
		if err := r.Start(context.Background(), machineID); err != nil {
			slog.Error("starting a machine without KVM", "machine", machineID, "error", err)
		}
	})
}
