package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/cimimove/cimimove/cimi"
)

// overSSH opens libvirtd's socket on another machine through one ssh
// connection, which is made anew when it was lost. It runs no program there.
type overSSH struct {
	address, socket string
	config          *ssh.ClientConfig
	problems        []error // with keys, told when authentication fails

	mu     sync.Mutex
	client *ssh.Client
}

// sshKeepAlive is how often a quiet ssh connection is asked whether it lives.
const sshKeepAlive = 15 * time.Second

// newSSH authenticates with the ssh agent, then with keyfile of the URI or the
// user's usual keys, then with opts.Password. The host's key must stand in
// known_hosts (known_hosts of the URI names another file).
func newSSH(u *url.URL, opts Options, socket string) (*overSSH, error) {
	q := u.Query()
	s := &overSSH{address: net.JoinHostPort(u.Hostname(), first(u.Port(), "22")), socket: socket,
		config: &ssh.ClientConfig{User: opts.User, Timeout: dialTimeout}}
	if s.config.User == "" {
		me, err := user.Current()
		if err != nil {
			return nil, err
		}
		s.config.User = me.Username
	}
	if err := s.hostKeys(first(q.Get("known_hosts"), q.Get("knownhosts")), opts.Insecure); err != nil {
		return nil, err
	}
	s.config.Auth = append(s.config.Auth, ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return s.signers(q.Get("keyfile")), nil }))
	if opts.Password != "" {
		s.config.Auth = append(s.config.Auth, ssh.Password(opts.Password),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range answers {
					answers[i] = opts.Password
				}
				return answers, nil
			}))
	}
	return s, nil
}

func (s *overSSH) hostKeys(file string, insecure bool) error {
	if insecure {
		s.config.HostKeyCallback = ssh.InsecureIgnoreHostKey()
		return nil
	}
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		file = filepath.Join(home, ".ssh", "known_hosts")
	}
	check, err := knownhosts.New(file)
	if err != nil {
		return &cimi.SecurityError{URL: s.address, Message: "the keys of known hosts", Err: err}
	}
	s.config.HostKeyCallback = func(name string, remote net.Addr, key ssh.PublicKey) error {
		err := check(name, remote, key)
		var wrong *knownhosts.KeyError
		if !errors.As(err, &wrong) {
			return err
		}
		message := "its key is not in " + file + ": connect once with ssh, or add it with ssh-keyscan"
		if len(wrong.Want) > 0 {
			message = "its key is another one than in " + file
		}
		return &cimi.SecurityError{URL: name, Message: message + " (" + ssh.FingerprintSHA256(key) + ")"}
	}
	// Ask for the kinds of key that are known: a server has several.
	var wrong *knownhosts.KeyError
	if errors.As(check(s.address, &net.TCPAddr{}, unknownKey{}), &wrong) {
		for _, k := range wrong.Want {
			s.config.HostKeyAlgorithms = append(s.config.HostKeyAlgorithms, algorithms(k.Key.Type())...)
		}
	}
	return nil
}

// algorithms are the signatures that a kind of key makes.
func algorithms(kind string) []string {
	if kind == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{kind}
}

// unknownKey is a key that no file has.
type unknownKey struct{}

func (unknownKey) Type() string                        { return "none" }
func (unknownKey) Marshal() []byte                     { return nil }
func (unknownKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

func (s *overSSH) signers(keyFile string) []ssh.Signer {
	s.problems = nil
	var out []ssh.Signer
	if path := os.Getenv("SSH_AUTH_SOCK"); path != "" && keyFile == "" {
		if c, err := net.Dial("unix", path); err == nil {
			signers, err := agent.NewClient(c).Signers()
			if err != nil {
				s.problems = append(s.problems, err)
			}
			out = append(out, signers...)
		}
	}
	files := []string{keyFile}
	if keyFile == "" {
		files = nil
		if home, err := os.UserHomeDir(); err == nil {
			for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
				files = append(files, filepath.Join(home, ".ssh", name))
			}
		}
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) && keyFile == "" {
			continue
		}
		if err == nil {
			var k ssh.Signer
			if k, err = ssh.ParsePrivateKey(b); err == nil {
				out = append(out, k)
				continue
			}
		}
		s.problems = append(s.problems, fmt.Errorf("key %s: %w", file, err))
	}
	return out
}

func (s *overSSH) dial(ctx context.Context) (net.Conn, error) {
	client, fresh, err := s.connected(ctx)
	if err != nil {
		return nil, err
	}
	c, err := client.DialContext(ctx, "unix", s.socket)
	var refused *ssh.OpenChannelError
	if err != nil && !errors.As(err, &refused) && !fresh && ctx.Err() == nil {
		s.drop(client)
		if client, _, err = s.connected(ctx); err == nil {
			c, err = client.DialContext(ctx, "unix", s.socket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: socket %s there: %w", s.address, s.socket, err)
	}
	return c, nil
}

func (s *overSSH) connected(ctx context.Context) (c *ssh.Client, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := net.Dialer{}
	raw, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn, channels, requests, err := ssh.NewClientConn(raw, s.address, s.config)
	if !stop() {
		return nil, false, context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		var security *cimi.SecurityError
		if errors.As(err, &security) {
			return nil, false, security
		}
		if strings.Contains(err.Error(), "unable to authenticate") {
			return nil, false, &cimi.SecurityError{URL: s.address, Message: "ssh as " + s.config.User, Err: errors.Join(append([]error{err}, s.problems...)...)}
		}
		return nil, false, err
	}
	s.client = ssh.NewClient(conn, channels, requests)
	go s.keepAlive(s.client)
	return s.client, true, nil
}

// keepAlive ends a connection whose other end is gone.
func (s *overSSH) keepAlive(c *ssh.Client) {
	for {
		time.Sleep(sshKeepAlive)
		answer := make(chan error, 1)
		go func() {
			_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
			answer <- err
		}()
		select {
		case err := <-answer:
			if err == nil {
				continue
			}
		case <-time.After(2 * sshKeepAlive):
		}
		s.drop(c)
		return
	}
}

func (s *overSSH) drop(c *ssh.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == c {
		s.client = nil
	}
	c.Close()
}

func (s *overSSH) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	err := s.client.Close()
	s.client = nil
	return err
}
