package vctest

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// Member is a machine of a vApp, and when it starts there.
type Member struct {
	Machine      string
	Order, Delay int // Delay in seconds
}

// MakeApp makes a vApp of machines that are there, as somebody would by hand;
// within is the name of the vApp around it, empty for none.
func (v *VCenter) MakeApp(name, within string, members ...Member) error {
	ctx := internal()
	pool := v.model.Map().Any("ResourcePool").Reference()
	folder := v.model.Map().Any("Datacenter").(*simulator.Datacenter).VmFolder
	res, err := methods.CreateVApp(ctx, v.client, &types.CreateVApp{This: pool, Name: name, ResSpec: types.DefaultResourceConfigSpec(), VmFolder: &folder})
	if err != nil {
		return err
	}
	ref := res.Returnval
	app := v.model.Map().Get(ref).(*simulator.VirtualApp)
	outer := v.appNamed(within)
	if within != "" && outer == nil {
		return fmt.Errorf("no vApp %s", within)
	}
	var entities []types.VAppEntityConfigInfo
	c := *v.model.Service.Context
	for _, m := range members {
		vm := v.machineNamed(m.Machine)
		if vm == nil {
			return fmt.Errorf("no machine %s", m.Machine)
		}
		c.WithLock(vm, func() { vm.ResourcePool = &ref })
		entities = append(entities, types.VAppEntityConfigInfo{Key: &vm.Self, Tag: m.Machine, StartOrder: int32(m.Order), StartDelay: int32(m.Delay),
			StartAction: "powerOn", StopAction: "powerOff"})
	}
	c.WithLock(app, func() {
		app.VAppConfig.EntityConfig = entities
		if outer != nil {
			app.Parent = &outer.Self
		}
	})
	return nil
}

// App is the configuration of the vApp of that name, nil when there is none.
func (v *VCenter) App(name string) *types.VAppConfigInfo {
	if a := v.appNamed(name); a != nil {
		return a.VAppConfig
	}
	return nil
}

func (v *VCenter) appNamed(name string) *simulator.VirtualApp {
	for _, e := range v.model.Map().All("VirtualApp") {
		if a := e.(*simulator.VirtualApp); a.Name == name {
			return a
		}
	}
	return nil
}
