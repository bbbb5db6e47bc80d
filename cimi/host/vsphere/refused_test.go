package vsphere_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// TestThumbprints: a vCenter that is not the pinned one is not logged in to; a
// host that is not the one whose thumbprint the vCenter tells gets no disk and
// gives none. Either is a matter of security, and leaves nothing.
func TestThumbprints(t *testing.T) {
	ovftest.Slow(t)
	v := vctest.New(t, vctest.Options{})
	ctx := context.Background()
	wrong := func(err error) bool {
		var class *cimi.SecurityError
		var pin *fetch.PinError
		return errors.As(err, &class) && errors.As(err, &pin)
	}
	opts := options(t, v)
	opts.Connection.Pin = "sha256:" + strings.Repeat("0f", 32)
	if h, err := vsphere.Open(ctx, v.Endpoint(), opts); !wrong(err) {
		if err == nil {
			h.Close()
		}
		t.Errorf("another vCenter: %v", err)
	}
	if n := v.Calls("Login"); n != 0 {
		t.Errorf("%d logins at a vCenter that is not the pinned one", n)
	}

	h := open(t, v, "")
	defer h.Close()
	b := hosttest.NewSample(t, "appliance", 1).OVA(t)
	s, _ := hosttest.Importing(t, h, b, host.ImportOptions{})
	before := v.Inventory()
	for what, thumbprint := range map[string]string{"SHA-1": strings.Repeat("0F:", 19) + "0F", "SHA-256": strings.Repeat("0f", 32)} {
		v.Thumbprint(thumbprint)
		if _, err := h.Import(ctx, hosttest.Package(t, b), host.ImportOptions{Name: "other"}); !wrong(err) {
			t.Errorf("%s: a disk for another host: %v", what, err)
		}
		if _, err := h.Export(ctx, s.ID, host.ExportOptions{}); !wrong(err) {
			t.Errorf("%s: a disk of another host: %v", what, err)
		}
	}
	v.Thumbprint("no thumbprint")
	if _, err := h.Import(ctx, hosttest.Package(t, b), host.ImportOptions{Name: "other"}); err == nil || !strings.Contains(err.Error(), "neither SHA-1 nor SHA-256") {
		t.Errorf("what is no thumbprint: %v", err)
	}
	v.Thumbprint("")
	if after := v.Inventory(); strings.Join(after, ",") != strings.Join(before, ",") || len(v.OpenLeases()) != 0 {
		t.Errorf("machines before: %v, after: %v; %d leases are open", before, after, len(v.OpenLeases()))
	}
	if len(hosttest.Exported(t, h, s.ID)) == 0 {
		t.Error("the right host gives nothing")
	}
}

// TestFullDatastore: a datastore that is full when machines are made, or gets so
// in the middle of an upload, is told as what it is, and leaves nothing; with
// room again the same import ends well.
func TestFullDatastore(t *testing.T) {
	ovftest.Slow(t)
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	b := hosttest.NewSample(t, "appliance", 1).OVA(t)
	full := &types.NoDiskSpace{FileFault: types.FileFault{File: "[LocalDS_0] appliance"}, Datastore: "LocalDS_0"}
	for what, c := range map[string]struct {
		nfc    func(method, file string) int
		refuse types.BaseMethodFault
		want   string
	}{
		"before":       {refuse: full, want: "LocalDS_0"},
		"of a cluster": {refuse: &types.InsufficientStorageSpace{}, want: "datastores"},
		"in between":   {nfc: func(string, string) int { v.EndLeases(full); return 500 }, want: "LocalDS_0"},
		"by status":    {nfc: func(string, string) int { return 507 }, want: "disk"},
	} {
		v.RefuseImports(c.refuse)
		v.NFC(c.nfc)
		_, err := h.Import(context.Background(), hosttest.Package(t, b), host.ImportOptions{})
		if !errors.Is(err, host.ErrNoSpace) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
		if left := v.Inventory(); len(left) != 0 || len(v.OpenLeases()) != 0 {
			t.Errorf("%s: left are %v, %d leases are open", what, left, len(v.OpenLeases()))
		}
	}
	v.RefuseImports(nil)
	v.NFC(nil)
	hosttest.Importing(t, h, b, host.ImportOptions{})
}
