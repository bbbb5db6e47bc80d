package cimi

import (
	"reflect"
)

// membership1 tells which collections of 1.x hold wrapper items: the type of
// the items by the type of the owner and the attribute.
var membership1 = map[string]map[string]string{
	"System": {"systems": "SystemSystem", "machines": "SystemMachine", "credentials": "SystemCredential",
		"volumes": "SystemVolume", "networks": "SystemNetwork", "addresses": "SystemAddress", "networkPorts": "SystemNetworkPort",
		"forwardingGroups": "SystemForwardingGroup"},
	"Network": {"networkPorts": "NetworkNetworkPort"},
	"Machine": {"volumes": "MachineVolume", "snapshots": "MachineSnapshot", "networkInterfaces": "MachineNetworkInterface"},
	"Volume":  {"images": "VolumeVolumeImage"},
}

// wrapped1 are the types of the resources in wrapper items.
var wrapped1 = map[string]string{
	"SystemSystem": "System", "SystemMachine": "Machine", "SystemCredential": "Credential", "SystemVolume": "Volume",
	"SystemNetwork": "Network", "MachineVolume": "locatedVolume", "MachineSnapshot": "MachineImage",
	"VolumeVolumeImage": "VolumeImage", "MachineNetworkInterface": "NetworkInterface",
	"SystemAddress": "Address", "SystemNetworkPort": "NetworkPort", "SystemForwardingGroup": "ForwardingGroup", "NetworkNetworkPort": "NetworkPort",
}

// Wrapped is the 2.0 type of the entries of a 1.x collection whose items are
// of a wrapper type; "" when the type is no wrapper.
func Wrapped(wrapper string) string { return wrapped1[wrapper] }

// Downgrade gives a copy of a resource as 1.x says it: view gives the id of a
// collection's 1.x form, whose items are wrappers.
func Downgrade(r Resource, view func(collection, wrapper string) string) Resource {
	out := Clone(r)
	downgrade(out, view)
	return out
}

func downgrade(r Resource, view func(collection, wrapper string) string) {
	switch r := r.(type) {
	case *Machine:
		if r.NetworkInterfaces == nil && r.Interfaces != nil && r.Interfaces.Href != "" {
			r.NetworkInterfaces = RefTo[Collection](r.Interfaces.Href)
		}
	case *MeterConfiguration:
		for _, t := range r.AssociatedResources {
			r.AssociatedTo = append(r.AssociatedTo, Ref[Unknown]{Href: V1.uri(t)})
		}
	case *Sample:
		if r.Sample == nil && (r.Timestamp != nil || r.Value != "") {
			r.Sample = &SampleValue{Timestamp: r.Timestamp, Value: r.Value}
		}
	case *Collection:
		for _, item := range r.Items {
			downgrade(item, view)
		}
	}
	v, t := structOf(r)
	for _, a := range t.attrs {
		if a.kind != kindRef && a.kind != kindRefs || a.empty(v) {
			continue
		}
		wrapper := membership1[r.TypeName()][a.Name]
		for _, ref := range refsIn(a.value(v)) {
			if wrapper != "" {
				href := view(*ref.hrefp(), wrapper)
				if c, ok := ref.resource().(*Collection); ok && wrapper != "MachineNetworkInterface" {
					for i, item := range c.Items {
						w := Wrap(wrapper, href+"/"+item.Base().ID, item, false)
						c.Items[i] = w
					}
					c.Item, c.ID = wrapper, href
				}
				*ref.hrefp() = href
			} else if in := ref.resource(); in != nil {
				downgrade(in, view)
			}
		}
	}
}

// reference1 is the attribute of a wrapper that holds the resource.
func reference1(w Resource) (reference, bool) {
	v, t := structOf(w)
	for _, a := range t.attrs {
		if a.kind == kindRef && !a.Common && a.of == "" && wrapped1[w.TypeName()] != "" {
			f := a.value(v)
			if f.IsNil() {
				f.Set(reflect.New(f.Type().Elem()))
			}
			return f.Interface().(reference), true
		}
	}
	return nil, false
}

// Wrap makes the item of a wrapper type, with an id of its own, for an entry
// of a 2.0 collection; expand includes the entry by value.
func Wrap(wrapper, id string, item Resource, expand bool) Resource {
	w := New(wrapper)
	w.Base().ID, w.Base().Name = id, item.Base().Name
	switch w := w.(type) {
	case *MachineNetworkInterface:
		if n, ok := item.(*NetworkInterface); ok {
			w.State, w.MTU = n.State, n.MTU
		}
		return w
	case *MachineVolume:
		if l, ok := item.(*LocatedVolume); ok {
			w.InitialLocation = l.InitialLocation
			item = &l.Volume
		}
	}
	if ref, ok := reference1(w); ok {
		*ref.hrefp() = item.Base().ID
		if expand {
			ref.set(item)
		}
	}
	return w
}

// Unwrap gives the entry of a 2.0 collection for an item of a 1.x one: by
// value where it was expanded, else a bare resource with its id. ok is false
// when the resource is no wrapper.
func Unwrap(w Resource) (item Resource, ok bool) {
	if n, is := w.(*MachineNetworkInterface); is {
		return n.upgrade(), true
	}
	ref, ok := reference1(w)
	if !ok {
		return nil, false
	}
	item = ref.resource()
	if m, is := w.(*MachineVolume); is {
		l := &LocatedVolume{InitialLocation: m.InitialLocation}
		if v, is := item.(*Volume); is {
			l.Volume = *v
		}
		item = l
	}
	if item == nil {
		item = New(wrapped1[w.TypeName()])
	}
	if item.Base().ID == "" {
		item.Base().ID = *ref.hrefp()
	}
	return item, true
}

// upgrade says in 2.0 what 1.x says of an interface: its MAC address is that
// of an Ethernet endpoint, whose parent is the network.
func (w *MachineNetworkInterface) upgrade() *NetworkInterface {
	n := &NetworkInterface{Common: w.Common, State: w.State, MTU: w.MTU}
	if w.MACAddress == "" && w.Network == nil {
		return n
	}
	e := &ProtocolEndpoint{State: w.State, Protocol: "Ethernet", Address: w.MACAddress}
	if w.Network != nil {
		e.Parent = RefTo[Unknown](w.Network.Href)
	}
	n.Endpoints = RefBy(NewCollection("", "ProtocolEndpoint", e))
	return n
}

// Upgrade says in 2.0, in place, what a resource of 1.x says otherwise.
func Upgrade(r Resource) {
	switch r := r.(type) {
	case *Machine:
		if r.Interfaces == nil && r.NetworkInterfaces != nil {
			r.Interfaces = RefTo[Collection](r.NetworkInterfaces.Href)
		}
	case *MeterConfiguration:
		for _, t := range r.AssociatedTo {
			r.AssociatedResources = append(r.AssociatedResources, V2.uri(t.Href))
		}
	case *Sample:
		if r.Sample != nil {
			r.Timestamp, r.Value = r.Sample.Timestamp, r.Sample.Value
		}
	case *Collection:
		for _, item := range r.Items {
			Upgrade(item)
		}
	}
}
