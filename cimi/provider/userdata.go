package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/env"
)

// userData plans the disk that gives a Machine what its template injects
// (5.14.3): user data as cimi/user-data, and, for guests with cloud-init, the
// same and the first login in the form that its NoCloud source reads.
func (pl *plan) userData(ctx context.Context, find scope, m *host.Machine, t *cimi.MachineTemplate) error {
	credential, err := pl.credential(ctx, find, t.Credential)
	if err != nil {
		return err
	}
	if t.UserData == "" && credential == nil {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(t.UserData), ""))
	if err != nil {
		return cimi.Errorf(http.StatusBadRequest, "userData: expected Base64: %w", err)
	}
	files := []env.File{{Name: "meta-data", Content: metaData(m, credential)}}
	if len(data) > 0 {
		files = append(files, env.File{Name: "cimi/user-data", Content: data})
	}
	files = append(files, env.File{Name: "user-data", Content: cloudConfig(data, credential)})
	image, err := env.Image(files, env.ISOOptions{Volume: "cidata"})
	if err != nil {
		return cimi.Errorf(http.StatusBadRequest, "userData: %w", err)
	}
	d := &host.Disk{ID: host.NewID(), Name: m.Name + "-user-data", CapacityBytes: wholeSectors(int64(len(image))), Local: true}
	pl.fills[d.ID] = fill{"userData", host.CopyOf(bytesImage(image), nil)}
	pl.disks = append(pl.disks, d)
	m.Attachments = append(m.Attachments, attachment(m, d.ID, "", false))
	return nil
}

// credential is the one of a template, with its secrets; nil where there is none.
func (pl *plan) credential(ctx context.Context, find scope, from *cimi.Ref[cimi.Credential]) (*cimi.Credential, error) {
	if from == nil {
		return nil, nil
	}
	own := *from
	if own.Href != "" {
		id, err := find.id(own.Href)
		if err != nil {
			return nil, err
		}
		for _, r := range pl.made {
			if c, ok := r.(*cimi.Credential); ok && c.ID == id {
				return c, nil
			}
		}
		own.Href = id
	}
	c, err := resolve(ctx, pl.p, "credential", &own)
	if err != nil {
		return nil, err
	}
	if c.Password == "" && c.Key == "" { // 5.14.2.1: invalid credentials fail the creation
		return nil, cimi.Errorf(http.StatusBadRequest, "credential: neither password nor key: nobody could log in by it")
	}
	return c, nil
}

// metaData tells cloud-init which machine this is.
func metaData(m *host.Machine, c *cimi.Credential) []byte {
	doc := map[string]any{"instance-id": m.ID, "local-hostname": hostName(m.Name)}
	if c != nil && c.Key != "" {
		doc["public-keys"] = []string{c.Key}
	}
	b, _ := json.Marshal(doc) // JSON is YAML; strings alone never fail
	return append(b, '\n')
}

// hostName is a name as a host may have it (RFC 1123).
func hostName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
	if s = strings.Trim(s[:min(len(s), 63)], "-"); s == "" {
		return "machine"
	}
	return s
}

// cloudConfig is the user data for cloud-init. User data of the consumer goes
// first; where that is a cloud-config or a script of its own, the login is told
// beside it.
func cloudConfig(data []byte, c *cimi.Credential) []byte {
	if c == nil {
		return data
	}
	user := map[string]any{"name": c.UserName, "lock_passwd": c.Password == "", "sudo": "ALL=(ALL) NOPASSWD:ALL", "shell": "/bin/sh"}
	if c.UserName == "" {
		user["name"] = "root"
		delete(user, "sudo")
	}
	if c.Password != "" {
		user["plain_text_passwd"] = c.Password
	}
	if c.Key != "" {
		user["ssh_authorized_keys"] = []string{c.Key}
	}
	doc := map[string]any{"users": []any{user}, "ssh_pwauth": c.Password != ""}
	b, _ := json.Marshal(doc)
	login := append([]byte("#cloud-config\n"), append(b, '\n')...)
	if len(data) == 0 {
		return login
	}
	const boundary = "==cimimove=="
	kind := "text/plain"
	switch {
	case strings.HasPrefix(string(data), "#cloud-config"):
		kind = "text/cloud-config"
	case strings.HasPrefix(string(data), "#!"):
		kind = "text/x-shellscript"
	}
	return fmt.Appendf(nil, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n--%s\nContent-Type: text/cloud-config\nMIME-Version: 1.0\n\n%s\n--%s\nContent-Type: %s\nMIME-Version: 1.0\n\n%s\n--%s--\n",
		boundary, boundary, login, boundary, kind, data, boundary)
}

// bytesImage is a small disk in memory.
type bytesImage []byte

func (b bytesImage) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (b bytesImage) Close() error { return nil }
func (b bytesImage) Size() int64  { return int64(len(b)) }
func (b bytesImage) Info() disk.Info {
	return disk.Info{Format: disk.Raw, Size: b.Size(), Allocated: b.Size()}
}

func (b bytesImage) Extents(_ context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if n > 0 {
			yield(disk.Extent{Offset: off, Length: n}, nil)
		}
	}
}
