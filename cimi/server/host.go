package server

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// checkHost refuses what a browser asks of a server on loopback under a foreign
// name, where no password is asked for: a web page whose name its owner points to
// 127.0.0.1 (DNS rebinding) would otherwise read and change the cloud from a browser
// on this machine. Other programs choose whom they ask, and the name that they ask
// for is the one that they are answered with.
func (s *server) checkHost(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil || !isLoopback(local.String()) || len(s.o.Users) > 0 || !byBrowser(r) {
		return nil
	}
	name := hostName(r.Host)
	if name == "" || strings.EqualFold(name, "localhost") || isLoopback(r.Host) ||
		s.base != nil && strings.EqualFold(name, s.base.Hostname()) ||
		slices.ContainsFunc(s.o.Hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return nil
	}
	return cimi.Errorf(http.StatusMisdirectedRequest, "this server on loopback is not known to browsers as %.80q; a base URL tells its name", name)
}

// byBrowser says whether a browser may have sent a request. Pages can change what
// Accept-Language and User-Agent say, and keep the others from being sent, but
// cannot leave out Accept-Language (Fetch, "HTTP-network-or-cache fetch").
func byBrowser(r *http.Request) bool {
	for _, name := range []string{"Accept-Language", "Origin", "Referer", "Cookie", "Sec-Fetch-Site", "Sec-Fetch-Mode"} {
		if _, sent := r.Header[name]; sent {
			return true
		}
	}
	return strings.HasPrefix(r.UserAgent(), "Mozilla/")
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
