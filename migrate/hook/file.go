package hook

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// ErrInvalid: a hook, or a file of hooks, that cannot be used as it is.
var ErrInvalid = errors.New("hook is not valid")

// form is a hook as it is written.
type form struct {
	On        string   `yaml:"on"`
	Run       []string `yaml:"run"`
	URL       string   `yaml:"url"`
	Timeout   string   `yaml:"timeout"`
	OnFailure string   `yaml:"onFailure"`
}

// maxFile bounds a file of hooks.
const maxFile = 1 << 20

// ParseFile reads a YAML file of hooks, strictly:
//
//	hooks:
//	  - {on: before start, run: [./convert.sh, qemu:///system], timeout: 30m}
//	  - {on: after verify, url: "https://…", onFailure: continue}
func ParseFile(name string, b []byte) ([]Hook, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d are read", name, ErrInvalid, len(b), maxFile)
	}
	var f struct {
		Hooks []form `yaml:"hooks"`
	}
	if err := yaml.UnmarshalWithOptions(b, &f, yaml.Strict()); err != nil {
		// Without the source lines, which may hold the secret of a webhook.
		return nil, fmt.Errorf("%s: %w: %s", name, ErrInvalid, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	var out []Hook
	for i, x := range f.Hooks {
		h := Hook{On: x.On, Run: x.Run, URL: x.URL, Continue: x.OnFailure == "continue"}
		if x.Timeout != "" {
			var err error
			if h.Timeout, err = time.ParseDuration(x.Timeout); err != nil {
				return nil, fmt.Errorf("%s: hook %d: %w: timeout %q is no duration such as 90s or 5m", name, i+1, ErrInvalid, x.Timeout)
			}
		}
		if x.OnFailure != "" && x.OnFailure != "fail" && x.OnFailure != "continue" {
			return nil, fmt.Errorf("%s: hook %d: %w: onFailure is %q; it is fail or continue", name, i+1, ErrInvalid, x.OnFailure)
		}
		if err := h.Check(); err != nil {
			return nil, fmt.Errorf("%s: hook %d: %w: %w", name, i+1, ErrInvalid, err)
		}
		out = append(out, h)
	}
	return out, nil
}

// Parse reads a hook as the command line has it: "before start=COMMAND", the
// command's words separated by spaces, or "after verify=https://…".
func Parse(s string) (Hook, error) {
	on, what, ok := strings.Cut(s, "=")
	h := Hook{On: strings.Join(strings.Fields(on), " ")}
	if what = strings.TrimSpace(what); strings.HasPrefix(what, "http://") || strings.HasPrefix(what, "https://") {
		h.URL = what
	} else {
		h.Run = strings.Fields(what)
	}
	if !ok {
		return h, fmt.Errorf("%w: it is written \"before STEP=COMMAND\" or \"after STEP=URL\"", ErrInvalid)
	}
	if err := h.Check(); err != nil {
		return h, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return h, nil
}
