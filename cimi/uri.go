package cimi

import "strings"

// Namespace is the XML namespace and the prefix of type URIs of CIMI 2.0
// (4.1.2); Namespace1 that of 1.x.
const (
	Namespace  = "http://schemas.dmtf.org/cimi/2"
	Namespace1 = "http://schemas.dmtf.org/cimi/1"
)

// namespaceDrafts is what the namespace was before 1.0; some clouds have stayed there.
const namespaceDrafts = "http://www.dmtf.org/cimi"

// TypeURI is the type URI of a type name: "Machine" gives http://schemas.dmtf.org/cimi/2/Machine.
func TypeURI(name string) string { return Namespace + "/" + name }

// typeOfURI is the name in a type URI of either version. A resourceURI
// elsewhere gives its last word too, so that slips in the namespace do no harm.
func typeOfURI(uri string) string { return lastWord(strings.TrimSpace(uri)) }

// Actions: the rel of custom operations and the action of an Action (4.2.1.5).
const (
	ActionStart         = Namespace + "/action/start"
	ActionStop          = Namespace + "/action/stop"
	ActionRestart       = Namespace + "/action/restart"
	ActionPause         = Namespace + "/action/pause"
	ActionSuspend       = Namespace + "/action/suspend"
	ActionCapture       = Namespace + "/action/capture"
	ActionSnapshot      = Namespace + "/action/snapshot"
	ActionRestore       = Namespace + "/action/restore"
	ActionConnectVolume = Namespace + "/action/connectvolume"
	ActionEnable        = Namespace + "/action/enable"
	ActionDisable       = Namespace + "/action/disable"
	ActionImport        = Namespace + "/action/import"
	ActionExport        = Namespace + "/action/export"
	ActionInsert        = Namespace + "/action/insert"
	ActionRemove        = Namespace + "/action/remove"
	ActionForceSync     = Namespace + "/action/forceSync"
	ActionSwapBackup    = Namespace + "/action/swapBackup"
	ActionAddRM         = Namespace + "/action/addRM"
	ActionRemoveRM      = Namespace + "/action/removeRM"
)

// Rels of the uniform operations (4.2.1, 5.5.12).
const (
	RelAdd    = "add"
	RelInsert = "insert"
	RelRemove = "remove"
	RelEdit   = "edit"
	RelDelete = "delete"
)

// States of resources and Jobs.
const (
	StateCreating   = "CREATING"
	StateStarting   = "STARTING"
	StateStarted    = "STARTED"
	StateStopping   = "STOPPING"
	StateStopped    = "STOPPED"
	StatePausing    = "PAUSING"
	StatePaused     = "PAUSED"
	StateSuspending = "SUSPENDING"
	StateSuspended  = "SUSPENDED"
	StateMixed      = "MIXED"
	StateAvailable  = "AVAILABLE"
	StateEnabled    = "ENABLED"
	StateDisabled   = "DISABLED"
	StateDeleting   = "DELETING"
	StateCapturing  = "CAPTURING"
	StateRestoring  = "RESTORING"
	StateError      = "ERROR"
	StateFailed     = "FAILED"

	JobQueued   = "QUEUED"
	JobRunning  = "RUNNING"
	JobSuccess  = "SUCCESS"
	JobFailed   = "FAILED"
	JobStopping = "STOPPING"
	JobStopped  = "STOPPED"
)

// VolumeMapped is the type of a Volume that several Machines share (5.15.1).
const VolumeMapped = Namespace + "/mapped"
