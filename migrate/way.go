package migrate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// planWay picks how the bytes go, and says why.
func (p *Plan) planWay(ctx context.Context, s *cimi.System) error {
	o := p.opts
	p.Via = ViaRelay
	switch o.Via {
	case ViaAuto, ViaRelay:
	default:
		p.Via = o.Via
		p.find(RuleWay, ovf.Error, string(o.Via), fmt.Sprintf("the way %s is not offered yet", o.Via), "--via relay, or leave --via out")
		return nil
	}
	if !p.exportable(s) {
		p.find(RuleExport, ovf.Error, s.Name, "the source offers no export of it", "")
	}
	if err := p.planImport(ctx); err != nil {
		return err
	}
	if _, ok := o.Destination.importer(); ok {
		p.Why = "the destination is in this process and takes the package from hand to hand"
		return nil
	}
	listen, reach, err := relayAddress(o.Relay, o.Destination)
	if err != nil {
		return refuse(StepPlan, Destination, o.Destination.Name, err, "--relay-listen and --relay-url say where the destination reaches us")
	}
	p.Why = fmt.Sprintf("import pulls, so the destination fetches the package through us (listening on %s), in one pass", listen)
	if reach != "" {
		p.Why += ", as " + reach
	}
	return nil
}

// planImport looks whether the destination imports.
func (p *Plan) planImport(ctx context.Context) error {
	d := p.opts.Destination
	_, href, err := systemsOf(ctx, d)
	if errors.Is(err, ErrNoSystems) {
		p.find(RuleImport, ovf.Error, d.Name, "the destination offers no Systems", "")
		return nil
	}
	if err != nil {
		return at(StepPlan, Destination, d.Name, err)
	}
	c, err := d.Provider.List(ctx, href, cimi.ListOptions{First: 1, Last: 1})
	if err != nil {
		return at(StepPlan, Destination, d.Name, err)
	}
	if c.Operation(cimi.ActionImport) == nil {
		p.find(RuleImport, ovf.Error, d.Name, "the destination offers no import of packages", "")
	}
	return nil
}

// relayAddress is where to listen for the destination, and the URL by which it
// reaches that, empty for the address itself.
func relayAddress(o RelayOptions, d Endpoint) (listen, reach string, err error) {
	listen, reach = o.Listen, o.URL
	if reach != "" {
		u, err := url.Parse(reach)
		if err != nil || u.Host == "" || u.User != nil {
			return "", "", fmt.Errorf("relay URL %q is not a URL such as http://host:port", reach)
		}
		if listen == "" {
			listen = "0.0.0.0:0"
		}
		return listen, reach, nil
	}
	host := d.host()
	if host == "" || loopback(host) {
		def(&listen, "127.0.0.1:0")
		return listen, "", nil
	}
	own, err := addressTowards(host)
	if err != nil {
		return "", "", fmt.Errorf("no address of this machine leads to %s: %w", host, err)
	}
	def(&listen, "0.0.0.0:0")
	if h, _, err := net.SplitHostPort(listen); err == nil {
		if ip := net.ParseIP(h); h != "" && ip != nil && !ip.IsUnspecified() {
			return listen, "", nil
		}
	}
	return listen, "http://" + bracket(own), nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// addressTowards is the address of this machine that a connection to host
// would have. Nothing is sent.
func addressTowards(host string) (string, error) {
	c, err := net.Dial("udp", net.JoinHostPort(host, "9"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

func bracket(ip string) string {
	if net.ParseIP(ip).To4() == nil {
		return "[" + ip + "]"
	}
	return ip
}
