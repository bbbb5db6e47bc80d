package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// fullStore is a store that has room for some bytes.
type fullStore struct {
	mu   sync.Mutex
	room int
}

func (s *fullStore) take(n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room -= n; s.room < 0 {
		return 0, fmt.Errorf("write somewhere: %w", syscall.ENOSPC)
	}
	return n, nil
}

func (s *fullStore) Begin(disk.Info) error                  { return nil }
func (s *fullStore) WriteAt(p []byte, _ int64) (int, error) { return s.take(len(p)) }
func (s *fullStore) Write(p []byte) (int, error)            { return s.take(len(p)) }
func (s *fullStore) Close() error                           { return nil }

func (s *fullStore) Disk(context.Context, *host.Disk) (disk.Sink, error)                  { return s, nil }
func (s *fullStore) File(context.Context, string) (io.WriteCloser, error)                 { return s, nil }
func (s *fullStore) Digest(context.Context, *host.Disk, int64) (d disk.Digest, err error) { return }

// TestNoSpace: a full disk is told as such, with what did not fit.
func TestNoSpace(t *testing.T) {
	archive := hosttest.NewSample(t, "app", 1).OVA(t)
	for room, want := range map[int]string{0: "disk1", 128 << 10: "disk1", 320 << 10: "disk2"} {
		a, err := host.PlanImport(context.Background(), hosttest.Package(t, archive), host.ImportOptions{}, host.Capabilities{})
		if err != nil {
			t.Fatal(err)
		}
		err = a.Unpack(context.Background(), &fullStore{room: room})
		var full *host.NoSpaceError
		if !errors.Is(err, host.ErrNoSpace) || !errors.As(err, &full) || !strings.Contains(full.Object, want) {
			t.Errorf("room for %d bytes: %v, want no space for %s", room, err, want)
		}
	}
	if err := (func() error {
		a, err := host.PlanImport(context.Background(), hosttest.Package(t, archive), host.ImportOptions{}, host.Capabilities{})
		if err != nil {
			return err
		}
		return a.Unpack(context.Background(), &fullStore{room: 1 << 30})
	})(); err != nil {
		t.Error(err)
	}
}

const scaled = `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/2" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/2" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References/>
  <DiskSection><Info/>
    <Disk ovf:diskId="own" ovf:capacity="${size}" ovf:capacityAllocationUnits="byte * 2^20"/>
    <Disk ovf:diskId="spare" ovf:capacity="4096"/>
  </DiskSection>
  <VirtualSystemCollection ovf:id="all"><Info/>
    <ScaleOutSection ovf:id="node"><Info/><InstanceCount ovf:default="3"/></ScaleOutSection>
    <ProductSection><Info/>
      <Property ovf:key="size" ovf:type="uint32" ovf:value="1" ovf:userConfigurable="true"/>
      <Property ovf:key="fixed" ovf:type="string" ovf:value="x"/>
      <Property ovf:key="word" ovf:type="string" ovf:value="" ovf:password="true" ovf:userConfigurable="true"/>
    </ProductSection>
    <VirtualSystem ovf:id="node"><Info/>
      <VirtualHardwareSection><Info/>
        <Item><rasd:ElementName>cpu</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
        <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>disk</rasd:ElementName><rasd:HostResource>ovf:/disk/own</rasd:HostResource><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>
      </VirtualHardwareSection>
    </VirtualSystem>
  </VirtualSystemCollection>
</Envelope>`

// TestQuantity: each instance of a quantity is a machine with a disk of its
// own; capacities follow properties; a disk that nobody uses is loose.
func TestQuantity(t *testing.T) {
	env, err := ovf.Parse([]byte(scaled))
	if err != nil {
		t.Fatal(err)
	}
	s, err := host.View(env, host.ViewOptions{Properties: map[string]string{"size": "3"}})
	if err != nil {
		t.Fatal(err)
	}
	var machines, disks []string
	used := map[string]bool{}
	for m := range s.AllMachines() {
		machines = append(machines, m.Name)
		used[m.Attachments[0].DiskID] = true
		if d := s.Disk(m.Attachments[0].DiskID); d.CapacityBytes != 3<<20 {
			t.Errorf("disk of %s has %d bytes", m.Name, d.CapacityBytes)
		}
	}
	for d := range s.AllDisks() {
		disks = append(disks, d.Name)
	}
	if got := fmt.Sprint(machines, disks, len(used)); got != "[node1 node2 node3] [spare own1 own2 own3] 3" {
		t.Errorf("machines, disks, disks attached: %s", got)
	}
}
