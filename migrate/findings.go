package migrate

import (
	"encoding/json"

	"github.com/cimimove/cimimove/ovf"
)

// decodeFindings reads the extension attribute ovfFindings, whose form after
// decoding depends on the format it came in; what is no finding is left out.
func decodeFindings(v any) []ovf.Finding {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var many []ovf.Finding
	if json.Unmarshal(b, &many) == nil {
		return many
	}
	var one ovf.Finding
	if json.Unmarshal(b, &one) == nil && one.ID != "" {
		return []ovf.Finding{one}
	}
	var text string
	if json.Unmarshal(b, &text) == nil && json.Unmarshal([]byte(text), &many) == nil {
		return many
	}
	return nil
}
