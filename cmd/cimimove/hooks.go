package main

import (
	"os"

	"github.com/cimimove/cimimove/migrate/hook"
)

// hooks are those of --hooks, then those of --hook.
func (c *call) hooks() ([]hook.Hook, error) {
	var out []hook.Hook
	if file := c.String("hooks"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, usage("--hooks: %v", err)
		}
		if out, err = hook.ParseFile(file, b); err != nil {
			return nil, err
		}
	}
	for _, s := range c.StringSlice("hook") {
		h, err := hook.Parse(s)
		if err != nil {
			return nil, usage("--hook: %v", err)
		}
		out = append(out, h)
	}
	return out, nil
}
