package server

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// checkHost refuses requests that reach a server on loopback under a foreign
// name: a web page whose name its owner points to 127.0.0.1 (DNS rebinding)
// would otherwise read and change the cloud from a browser on this machine.
func (s *server) checkHost(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil || !isLoopback(local.String()) {
		return nil
	}
	name := hostName(r.Host)
	if name == "" || strings.EqualFold(name, "localhost") || isLoopback(r.Host) ||
		s.base != nil && strings.EqualFold(name, s.base.Hostname()) ||
		slices.ContainsFunc(s.o.Hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return nil
	}
	return cimi.Errorf(http.StatusMisdirectedRequest, "this server on loopback is not known as %.80q; a base URL tells its name", name)
}

// hostName is a host without its port and brackets.
func hostName(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}

func isLoopback(hostport string) bool {
	ip := net.ParseIP(hostName(hostport))
	return ip != nil && ip.IsLoopback()
}
