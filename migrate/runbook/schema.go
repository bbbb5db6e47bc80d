package runbook

import (
	"encoding/json"

	"github.com/invopop/jsonschema"
)

// SchemaID names the JSON Schema of runbooks.
const SchemaID = "https://github.com/cimimove/cimimove/runbook-1.schema.json"

// Schema is the JSON Schema (draft 2020-12) of the form, for editors.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", ExpandedStruct: true}
	s := r.Reflect(&document{})
	s.ID, s.Title = SchemaID, "cimimove runbook"
	s.Description = "What a batch evacuation moves, when and how"
	return json.MarshalIndent(s, "", "  ")
}
