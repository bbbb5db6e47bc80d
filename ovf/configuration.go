package ovf

import "fmt"

// Configuration is an entry of DeploymentOptionSection (DSP0243 9.8).
type Configuration struct {
	Element
	ID          string
	Label       string
	Description string
	Default     bool // marked with ovf:default
}

// Configurations are the deployment options, in order.
func (e *Envelope) Configurations() []Configuration {
	var out []Configuration
	for _, sec := range e.children(e.doc.Root(), "DeploymentOptionSection") {
		for _, n := range e.children(sec, "Configuration") {
			out = append(out, Configuration{Element: Element{e, n}, ID: e.attrOr(n, "id", ""),
				Label: e.text(n, "Label"), Description: e.text(n, "Description"), Default: e.boolAttr(n, "default", false)})
		}
	}
	return out
}

// DefaultConfiguration is the id of the one marked as default, else of the
// first; empty where the package has none.
func (e *Envelope) DefaultConfiguration() string {
	all := e.Configurations()
	for _, c := range all {
		if c.Default {
			return c.ID
		}
	}
	if len(all) > 0 {
		return all[0].ID
	}
	return ""
}

// Configuration is the id to use for the one that was asked for: "" stands for
// the default. An unknown id is a *DescriptorError that lists the known ones.
func (e *Envelope) Configuration(asked string) (string, error) {
	if asked == "" {
		return e.DefaultConfiguration(), nil
	}
	var ids []string
	for _, c := range e.Configurations() {
		if c.ID == asked {
			return asked, nil
		}
		ids = append(ids, c.ID)
	}
	return "", &DescriptorError{Object: "configuration " + asked, Offset: -1, Clause: "9.8",
		Message: fmt.Sprintf("the package has no such configuration; it has %q", ids)}
}

func (e *Envelope) configurationOr(asked string) string {
	if asked == "" {
		return e.DefaultConfiguration()
	}
	return asked
}
