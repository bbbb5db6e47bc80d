package vsphere_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// The environment of a process that imports a package and is killed meanwhile.
const (
	childEndpoint = "CIMIMOVE_TEST_VCENTER"
	childPin      = "CIMIMOVE_TEST_PIN"
	childOwner    = "CIMIMOVE_TEST_OWNER"
)

func TestMain(m *testing.M) {
	if at := os.Getenv(childEndpoint); at != "" {
		os.Exit(importAndDie(at))
	}
	// They mostly wait: more of them at a time than there are processors, where
	// -parallel does not say.
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

func importAndDie(at string) int {
	ctx := context.Background()
	h, err := vsphere.Open(ctx, at, vsphere.Options{User: vctest.User, Password: vctest.Password, Owner: os.Getenv(childOwner),
		Connection: fetch.Connection{Pin: os.Getenv(childPin)}})
	if err != nil {
		println(err.Error())
		return 1
	}
	pkg, err := ova.Read(ctx, os.Stdin, "-", ova.Options{})
	if err == nil {
		_, err = h.Import(ctx, pkg, host.ImportOptions{})
	}
	if err != nil {
		println(err.Error())
		return 1
	}
	return 0
}

// killed imports the sample in a process of its own and kills that when the
// upload of a disk has begun.
func killed(t *testing.T, v *vctest.VCenter, owner string) {
	t.Helper()
	sending, done := make(chan struct{}), make(chan struct{})
	first := true
	v.NFC(func(string, string) int {
		if first {
			first = false
			close(sending)
			<-done
		}
		return 0
	})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEndpoint+"="+v.Endpoint(), childPin+"="+v.Pin(), childOwner+"="+owner)
	cmd.Stdin = bytes.NewReader(hosttest.NewSample(t, "killed", 1).OVA(t))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-sending:
	case <-time.After(20 * time.Second):
		t.Errorf("no upload has begun: %s", said.String())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	close(done)
	v.NFC(nil)
	if len(v.OpenLeases()) != 1 || len(v.Inventory()) == 0 {
		t.Fatalf("killed, it left %d leases and %v: nothing to clean up was made", len(v.OpenLeases()), v.Inventory())
	}
}

// TestAC32KilledUpload: a process that is killed in the middle of an upload
// leaves a lease and half a System; the next one of the same owner removes both
// at once, and the import ends well.
func TestAC32KilledUpload(t *testing.T) {
	ovftest.Slow(t)
	v := vctest.New(t, vctest.Options{})
	killed(t, v, "test")

	// Another owner leaves alone what may be alive, and does not list it.
	opts := options(t, v)
	opts.Owner = "other"
	other, err := vsphere.Open(context.Background(), v.Endpoint(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range hosttest.Systems(t, other) {
		t.Errorf("another owner sees %+v", s)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if len(v.OpenLeases()) != 1 {
		t.Error("another owner took the lease away")
	}

	h := open(t, v, "")
	defer h.Close()
	if len(v.OpenLeases()) != 0 || len(v.Inventory()) != 0 {
		t.Errorf("after the next start: %d leases are open, %v is left", len(v.OpenLeases()), v.Inventory())
	}
	if _, err := h.Import(context.Background(), hosttest.Package(t, hosttest.NewSample(t, "killed", 1).OVA(t)), host.ImportOptions{}); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

// TestAC32LeaseExpires: where nobody comes back the vCenter itself takes back
// what was made, and an heir removes the note.
func TestAC32LeaseExpires(t *testing.T) {
	v := vctest.New(t, vctest.Options{LeaseTimeout: time.Second})
	killed(t, v, "gone")
	for end := time.Now().Add(10 * time.Second); len(v.OpenLeases())+len(v.Inventory()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d leases are open, %v is left", len(v.OpenLeases()), v.Inventory())
		}
	}
	if past := v.PastLeases(); len(past) != 1 || !past[0].Expired {
		t.Errorf("leases are %+v, want one that expired", past)
	}
	opts := options(t, v)
	opts.Heirs = []string{"gone"}
	h, err := vsphere.Open(context.Background(), v.Endpoint(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, s := range hosttest.Systems(t, h) {
		t.Errorf("%+v is listed", s)
	}
}
