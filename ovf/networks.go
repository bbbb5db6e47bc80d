package ovf

// Network is an entry of NetworkSection (DSP0243 9.2).
type Network struct {
	Element
	Name        string
	Description string
	// PortProfileURIs and HasPortProfile tell of OVF 2's network port profiles.
	PortProfileURIs []string
	HasPortProfile  bool
}

// Networks are the logical networks of the package, in order.
func (e *Envelope) Networks() []Network { return e.lookup().networks }

// Network is the one with that ovf:name.
func (e *Envelope) Network(name string) (Network, bool) {
	for _, n := range e.Networks() {
		if n.Name == name {
			return n, true
		}
	}
	return Network{}, false
}

func (e *Envelope) readNetworks() []Network {
	var out []Network
	for _, sec := range e.children(e.doc.Root(), "NetworkSection") {
		for _, n := range e.children(sec, "Network") {
			net := Network{Element: Element{e, n}, Description: e.text(n, "Description")}
			// A network's name is compared literally with Connection.
			net.Name, _ = e.attr(n, "name")
			for _, u := range e.children(n, "NetworkPortProfileURI") {
				net.PortProfileURIs = append(net.PortProfileURIs, trimmed(u))
			}
			net.HasPortProfile = e.child(n, "NetworkPortProfile") != nil
			out = append(out, net)
		}
	}
	return out
}
