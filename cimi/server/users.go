package server

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// Role is what a user may do.
type Role string

const (
	Reader        Role = "reader"        // read resources and descriptors; not the content of disks, in whatever form
	Operator      Role = "operator"      // read and change, but for records: Jobs, Events, ResourceMetadata
	Administrator Role = "administrator" // everything
)

// User may come in with name and password (HTTP basic) or a bearer token;
// what is empty is no way in.
type User struct {
	Name     string
	Password string
	Token    string
	Role     Role
}

// ParseUsers reads users, one per line: name:role:password for HTTP basic,
// name:role:token=TOKEN for a bearer token. Empty lines and lines that begin
// with # do not count.
func ParseUsers(r io.Reader) ([]User, error) {
	var users []User
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 || parts[0] == "" || parts[2] == "" {
			return nil, fmt.Errorf("line %d: expected name:role:password or name:role:token=TOKEN", n)
		}
		u := User{Name: parts[0], Role: Role(parts[1])}
		switch u.Role {
		case Reader, Operator, Administrator:
		default:
			return nil, fmt.Errorf("line %d: expected the role reader, operator or administrator, got %q", n, parts[1])
		}
		if token, ok := strings.CutPrefix(parts[2], "token="); ok && token != "" {
			u.Token = token
		} else {
			u.Password = parts[2]
		}
		users = append(users, u)
	}
	return users, sc.Err()
}

// authenticate finds the user and whether it may do this. The entry point can
// be read by everyone: clients look there to learn what they talk to.
func (q *request) authenticate() error {
	if len(q.o.Users) == 0 {
		q.user = User{Role: Administrator}
		return nil
	}
	reading := q.Method == http.MethodGet || q.Method == http.MethodHead
	u, ok := q.findUser()
	if !ok {
		if id, err := q.id(); err == nil && reading && (isEntryPath(id) || id == "") && q.Header.Get("Authorization") == "" {
			q.user = User{Role: Reader}
			return nil
		}
		h := q.w.Header()
		h.Add("WWW-Authenticate", `Basic realm="cimi", charset="UTF-8"`)
		h.Add("WWW-Authenticate", `Bearer realm="cimi"`)
		return cimi.Errorf(http.StatusUnauthorized, "credentials are missing or wrong")
	}
	q.user = u
	if !reading && u.Role == Reader {
		return cimi.Errorf(http.StatusForbidden, "user %s may only read", u.Name)
	}
	return nil
}

// findUser compares with every user, in time that does not depend on which one fits.
func (q *request) findUser() (found User, ok bool) {
	name, password, basic := q.BasicAuth()
	token, bearer := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	for _, u := range q.o.Users {
		match := basic && u.Password != "" && same(u.Name, name)&same(u.Password, password) == 1 ||
			bearer && u.Token != "" && same(u.Token, strings.TrimSpace(token)) == 1
		if match && !ok {
			found, ok = u, true
		}
	}
	return found, ok
}

func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
