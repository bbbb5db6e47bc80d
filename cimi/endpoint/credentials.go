package endpoint

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Side says which credentials apply: those of CIMIMOVE_SOURCE_… or of
// CIMIMOVE_DESTINATION_….
type Side string

const (
	Source      Side = "source"
	Destination Side = "destination"
)

// Credentials of one endpoint. The zero value is none.
type Credentials struct {
	User, Password, Token string
}

// String keeps secrets out of what is printed.
func (c Credentials) String() string { return "credentials" }

// GoString does so too.
func (c Credentials) GoString() string { return "credentials" }

// helperTimeout bounds a credential helper: one that asks at a terminal that
// nobody watches would otherwise hold up the night.
const helperTimeout = 30 * time.Second

// gather collects the credentials for side, the more specific winning: a
// named endpoint's own, then --…-password-file, then the environment.
func gather(ctx context.Context, side Side, o Options, n Named) (Credentials, error) {
	prefix := "CIMIMOVE_" + strings.ToUpper(string(side)) + "_"
	c := Credentials{User: o.Getenv(prefix + "USER"), Password: o.Getenv(prefix + "PASSWORD"), Token: o.Getenv(prefix + "TOKEN")}
	if o.PasswordFile != "" {
		p, err := secretFile(o.PasswordFile)
		if err != nil {
			return c, err
		}
		c.Password = p
	}
	if n.User != "" {
		c.User = n.User
	}
	if n.PasswordFile != "" {
		p, err := secretFile(n.PasswordFile)
		if err != nil {
			return c, err
		}
		c.Password = p
	}
	if n.TokenFile != "" {
		t, err := secretFile(n.TokenFile)
		if err != nil {
			return c, err
		}
		c.Token = t
	}
	if len(n.Exec) > 0 {
		p, err := helper(ctx, n.Exec)
		if err != nil {
			return c, err
		}
		c.Password = p
	}
	return c, nil
}

func secretFile(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", &ConfigError{file, err}
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func helper(ctx context.Context, argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		return "", &ConfigError{argv[0], fmt.Errorf("credential helper: %w: %s", err, firstLine(diag.String()))}
	}
	return strings.TrimRight(out.String(), "\r\n"), nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
