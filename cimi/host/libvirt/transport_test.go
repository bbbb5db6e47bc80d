package libvirt_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/ovf/disk"
)

// through moves a package in and out by a URI.
func through(t *testing.T, uri string, opts libvirt.Options) {
	t.Helper()
	opts.Owner = "test"
	h, err := libvirt.Open(context.Background(), uri, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	sample := hosttest.NewSample(t, "appliance", 1)
	s, err := h.Import(context.Background(), hosttest.Package(t, sample.OVA(t)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for d := range s.AllDisks() {
		img, err := h.OpenDisk(context.Background(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, img.Size())
		if err := disk.ReadFull(img, got, 0); err != nil {
			t.Fatal(err)
		}
		if want := sample.Disks[d.OVFID]; want != nil && !bytes.Equal(got, want) {
			t.Errorf("disk %s has another content", d.OVFID)
		}
		img.Close()
	}
	hosttest.Exported(t, h, s.ID)
	if err := h.Delete(context.Background(), s.ID); err != nil {
		t.Error(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// TestSSHE2E: through a real sshd, with a key; a host that is not known, or is
// another one, is refused.
func TestSSHE2E(t *testing.T) {
	libvirtd.Need(t)
	sshd := "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil || os.Getuid() != 0 {
		if os.Getenv("CIMIMOVE_CI") != "" {
			t.Fatal("no sshd (package openssh-server), or not root")
		}
		t.Skip("no sshd (package openssh-server), or not root")
	}
	pool, _ := libvirtd.Pool(t)
	dir := t.TempDir()
	for _, key := range []string{"host", "other", "user"} {
		if b, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, b)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	port := freePort(t)
	write("authorized", read("user.pub"))
	conf := write("sshd_config", fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/authorized\nStrictModes no\nPermitRootLogin yes\nUsePAM no\nPidFile none", port, dir, dir))
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for range 100 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	line := func(key string) string { return "[127.0.0.1]:" + port + " " + read(key+".pub") }
	known, wrong, empty := write("known", line("host")), write("wrong", line("other")), write("empty", "")
	uri := func(known, key string) string {
		return fmt.Sprintf("qemu+ssh://127.0.0.1:%s/system?type=qemu&pool=%s&keyfile=%s/%s&known_hosts=%s", port, pool, dir, key, known)
	}
	through(t, uri(known, "user"), libvirt.Options{User: "root"})
	for what, u := range map[string]string{"a host that is another": uri(wrong, "user"), "a host that nobody knows": uri(empty, "user"), "a key that is not let in": uri(known, "other")} {
		_, err := libvirt.Open(context.Background(), u, libvirt.Options{User: "root"})
		var security *cimi.SecurityError
		if !errors.As(err, &security) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := libvirt.Open(context.Background(), "qemu+ssh://root@127.0.0.1/system", libvirt.Options{}); !errors.Is(err, libvirt.ErrUserInfo) {
		t.Errorf("a user in the URI: %v", err)
	}
}

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (a *authority) issue(t *testing.T, dir, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := c, key
	if a.cert == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		a.key = key
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for file, b := range map[string][]byte{name + "cert.pem": certPEM, name + "key.pem": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// TestTLSE2E: through TLS with certificates on both sides. In front of libvirtd
// stands a server that greets as libvirtd's own TLS socket does.
func TestTLSE2E(t *testing.T) {
	libvirtd.Need(t)
	pool, _ := libvirtd.Pool(t)
	dir := t.TempDir()
	var ca authority
	ca.issue(t, dir, "ca")
	server := ca.issue(t, dir, "server")
	ca.issue(t, dir, "client")
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if c.(*tls.Conn).Handshake() != nil {
					return
				}
				to, err := net.Dial("unix", libvirtd.Socket)
				if err != nil {
					return
				}
				defer to.Close()
				if _, err := c.Write([]byte{1}); err != nil {
					return
				}
				go io.Copy(to, c)
				io.Copy(c, to)
			}()
		}
	}()
	uri := fmt.Sprintf("qemu://%s/system?type=qemu&pool=%s&pkipath=%s", l.Addr(), pool, dir)
	through(t, uri, libvirt.Options{})
	through(t, strings.Replace(uri, "qemu:", "qemu+tls:", 1), libvirt.Options{Pin: fmt.Sprintf("sha256:%x", sha256.Sum256(server.Certificate[0]))})
	var stranger authority
	strange := t.TempDir()
	stranger.issue(t, strange, "ca")
	stranger.issue(t, strange, "client")
	for what, c := range map[string]struct {
		uri  string
		opts libvirt.Options
	}{
		"authorities of others": {fmt.Sprintf("qemu://%s/system?pool=%s&pkipath=%s", l.Addr(), pool, strange), libvirt.Options{}},
		"another certificate":   {uri, libvirt.Options{Pin: "sha256:" + strings.Repeat("00", 32)}},
		"no client certificate": {fmt.Sprintf("qemu://%s/system?pool=%s&pkipath=%s", l.Addr(), pool, strange), libvirt.Options{Insecure: true}},
	} {
		_, err := libvirt.Open(context.Background(), c.uri, c.opts)
		var security *cimi.SecurityError
		if !errors.As(err, &security) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := libvirt.Open(context.Background(), "qemu+tcp://127.0.0.1/system", libvirt.Options{}); !errors.Is(err, host.ErrUnsupported) {
		t.Errorf("an unprotected transport: %v", err)
	}
}
