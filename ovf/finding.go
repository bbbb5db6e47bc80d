package ovf

// Severity orders findings: info is kept, warning is lost or doubtful, error refuses.
type Severity string

const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Finding is one observation about a package, a mapping or a plan, with a
// stable rule id (OVF-REF-003, MAP-DISK-001) that --allow and --deny name.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Object   string   `json:"object"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint"`
	Clause   string   `json:"clause"` // "DSP0243 7.1", "DSP0263 5.14.3"
}
