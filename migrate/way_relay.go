package migrate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/relay"
)

// mayRelay tells whether the destination can fetch the package through us.
func (w *ways) mayRelay(ctx context.Context) (ok bool, why string) {
	if !w.exports {
		return false, "the source offers no export of it"
	}
	if !w.imports {
		return false, w.noImport
	}
	if w.inProcess {
		return true, "the destination is in this process and takes the package from hand to hand"
	}
	o := w.opts
	listen, reach, err := relayAddress(o.Relay, o.Destination)
	if err != nil {
		return false, fmt.Sprintf("%v: --relay-listen and --relay-url say where the destination reaches us", err)
	}
	if err := w.probeRelay(ctx, listen, reach); err != nil {
		return false, fmt.Sprintf("the destination does not reach us: %v: --relay-listen and --relay-url say where it does", err)
	}
	why = fmt.Sprintf("import pulls, so the destination fetches the package through us (listening on %s), in one pass", listen)
	if reach != "" {
		why += ", as " + reach
	}
	return true, why
}

// probeRelay listens for a moment where the relay will, and has the destination
// look whether it gets there. A destination that cannot be asked is trusted.
func (w *ways) probeRelay(ctx context.Context, listen, reach string) error {
	if w.reach == "" {
		return nil
	}
	answer, err := w.opts.Survey.reach.get(w.opts.Destination.Name+"\x1frelay "+listen+" "+reach, func() (answer cimi.Reach, err error) {
		var token [20]byte
		rand.Read(token[:])
		s, err := relay.Serve(relay.ServerOptions{Listen: listen, URL: reach, Token: hex.EncodeToString(token[:])},
			relay.Offer{Name: "reach", Content: bytes.NewReader([]byte{0}), Size: 1})
		if err != nil {
			return answer, err
		}
		defer s.Close()
		answer, err = w.asks(ctx, s.URL())
		if err != nil {
			return cimi.Reach{Reachable: true}, nil // nobody knows; the transfer will tell
		}
		answer.Why = mask(errors.New(answer.Why), s.URL(), "the relay").Error()
		return answer, nil
	})
	if err == nil && !answer.Reachable {
		err = errors.New(answer.Why)
	}
	return err
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
