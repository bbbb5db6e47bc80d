package cimi

// RelReach is the rel of an extension operation on the Systems: GET of its
// href, a slash and a URL in base64url without padding answers, as JSON,
// whether an import of this Provider could fetch from that URL. It changes
// nothing, so that a plan can ask. Users who may not import may not ask.
const RelReach = ExtensionNamespace + "/reach"

// Reach is that answer.
type Reach struct {
	Reachable bool `json:"reachable"`
	// Why not.
	Why string `json:"why,omitempty"`
}
