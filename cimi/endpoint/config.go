package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Config is the configuration file: endpoints by name.
type Config struct {
	Endpoints map[string]Named `yaml:"endpoints"`
}

// Named is an endpoint of the configuration file. Secrets are only referred to.
type Named struct {
	URL          string   `yaml:"url"`
	User         string   `yaml:"user,omitempty"`
	PasswordFile string   `yaml:"password_file,omitempty"`
	TokenFile    string   `yaml:"token_file,omitempty"`
	Exec         []string `yaml:"exec,omitempty"` // prints the password on standard output
	CAFile       string   `yaml:"ca_file,omitempty"`
	TLSPin       string   `yaml:"tls_pin,omitempty"`
	Insecure     bool     `yaml:"insecure,omitempty"`
	Proxy        string   `yaml:"proxy,omitempty"`
	// Bandwidth such as 50MiB a second, Transfers at a time, and Disks of one
	// System at a time, hold back what is moved from and to it.
	Bandwidth string `yaml:"bandwidth,omitempty"`
	Transfers int    `yaml:"transfers,omitempty"`
	Disks     int    `yaml:"disks,omitempty"`
}

// A ConfigError is a configuration file that cannot be used.
type ConfigError struct {
	File string
	Err  error
}

func (e *ConfigError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }
func (e *ConfigError) Unwrap() error { return e.Err }

// ErrNotConfigured: an @name that the configuration file does not have.
var ErrNotConfigured = errors.New("not in the configuration file")

// DefaultConfigFile is ~/.config/cimimove/config.yaml, or below XDG_CONFIG_HOME.
func DefaultConfigFile(getenv func(string) string) string {
	if d := getenv("XDG_CONFIG_HOME"); d != "" {
		return filepath.Join(d, "cimimove", "config.yaml")
	}
	return filepath.Join(getenv("HOME"), ".config", "cimimove", "config.yaml")
}

// LoadConfig reads a configuration file. It is refused when others than its
// owner may read it. A file that is not there is an empty Config unless
// required.
func LoadConfig(file string, required bool) (*Config, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return &Config{}, nil
	}
	if err != nil {
		return nil, &ConfigError{file, err}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, &ConfigError{file, fmt.Errorf("mode is %04o: others may read it; chmod 600 %s", info.Mode().Perm(), file)}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, &ConfigError{file, err}
	}
	var c Config
	if err := yaml.UnmarshalWithOptions(b, &c, yaml.Strict()); err != nil {
		return nil, &ConfigError{file, errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))}
	}
	return &c, nil
}

// Lookup finds @name.
func (c *Config) Lookup(name string) (Named, error) {
	n, ok := c.Endpoints[strings.TrimPrefix(name, "@")]
	if !ok {
		var known []string
		for k := range c.Endpoints {
			known = append(known, "@"+k)
		}
		slices.Sort(known)
		if len(known) == 0 {
			return Named{}, &NameError{name, fmt.Errorf("%w: it names no endpoints", ErrNotConfigured)}
		}
		return Named{}, &NameError{name, fmt.Errorf("%w: it has %s", ErrNotConfigured, strings.Join(known, ", "))}
	}
	return n, nil
}
