package libvirtd

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Bitmaps are the names of the bitmaps that an image file keeps, with their flags.
func Bitmaps(t testing.TB, file string) map[string][]string {
	t.Helper()
	out, err := exec.Command("qemu-img", "info", "-U", "--output=json", file).Output()
	if err != nil {
		t.Fatalf("qemu-img info %s: %v", file, err)
	}
	var x struct {
		Specific struct {
			Data struct {
				Bitmaps []struct {
					Name  string   `json:"name"`
					Flags []string `json:"flags"`
				} `json:"bitmaps"`
			} `json:"data"`
		} `json:"format-specific"`
	}
	if err := json.Unmarshal(out, &x); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, b := range x.Specific.Data.Bitmaps {
		all[b.Name] = b.Flags
	}
	return all
}

// Kill kills the QEMU of a domain, and waits until libvirt has noticed.
func Kill(t testing.TB, domain string) {
	t.Helper()
	if err := syscall.Kill(processOf(t, domain), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); strings.TrimSpace(Virsh(t, "domstate", domain)) != "shut off"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("domain %s does not end", domain)
		}
	}
}

// processOf is the id of the QEMU of a domain that runs.
func processOf(t testing.TB, domain string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/run/libvirt/qemu", strings.TrimSpace(Virsh(t, "domname", domain))+".pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
