package systemtemplate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// extensionsOf reads what FromEnvelope wrote on a template, from extension
// attributes or, where those were refused, from properties.
func extensionsOf(c *cimi.Common) (id string, s *Startup, props []Property, err error) {
	id = idOf(&c.Extensions, c.Properties)
	var raw []byte
	if v := c.ExtraValue(cimi.OVFStartup); v != nil {
		if raw, err = json.Marshal(v); err != nil {
			return "", nil, nil, err
		}
	} else if v := c.Properties[propertyStartup]; v != "" {
		raw = []byte(v)
	}
	if raw != nil {
		if s, err = startupFrom(raw); err != nil {
			return "", nil, nil, err
		}
	}
	values := map[string]string{}
	switch v := c.ExtraValue(cimi.OVFProperties).(type) {
	case nil:
		for k, v := range c.Properties {
			if key, ok := strings.CutPrefix(k, propertyPrefix); ok {
				values[key] = v
			}
		}
	case map[string]any:
		for k, v := range v {
			values[k] = fmt.Sprint(v)
		}
	default:
		return "", nil, nil, fmt.Errorf("%s is %T, expected an object", cimi.OVFProperties, v)
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		props = append(props, Property{Key: k, Value: values[k]})
	}
	return id, s, props, nil
}

// startupFrom reads ovfStartup; numbers and booleans may have become strings.
func startupFrom(raw []byte) (*Startup, error) {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%s: %w", cimi.OVFStartup, err)
	}
	s := &Startup{StartAction: "powerOn", StopAction: "powerOff"}
	for k, v := range m {
		text := fmt.Sprint(v)
		var err error
		switch k {
		case "order":
			s.Order, err = strconv.Atoi(text)
		case "startDelay":
			s.StartDelay, err = strconv.Atoi(text)
		case "stopDelay":
			s.StopDelay, err = strconv.Atoi(text)
		case "startAction":
			s.StartAction = text
		case "stopAction":
			s.StopAction = text
		case "waitingForGuest":
			s.WaitingForGuest, err = strconv.ParseBool(text)
		}
		if err == nil && (s.Order < 0 || s.StartDelay < 0 || s.StopDelay < 0 || s.Order > 65535 || s.StartDelay > 65535 || s.StopDelay > 65535) {
			err = fmt.Errorf("out of range 0 to 65535")
		}
		if err != nil {
			return nil, fmt.Errorf("%s.%s is %q: %w", cimi.OVFStartup, k, text, err)
		}
	}
	return s, nil
}

func idOf(x *cimi.Extensions, properties map[string]string) string {
	if id := x.ExtraString(cimi.OVFID); id != "" {
		return id
	}
	return properties[propertyID]
}

// plainProperties are those that are the user's own.
func plainProperties(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if k != propertyID && k != propertyStartup && k != propertyOS && !strings.HasPrefix(k, propertyPrefix) {
			out[k] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func lastWord(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }

// descriptorOf is the descriptor that a template keeps; nil when it keeps none.
func descriptorOf(t *cimi.SystemTemplate) ([]byte, error) {
	s := strings.Join(strings.Fields(t.ExtraString(cimi.OVFDescriptor)), "")
	if s == "" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%s is no Base64: %w", cimi.OVFDescriptor, err)
	}
	return b, nil
}
