package cimi

// EventLog is a registry of Events (5.17.8).
type EventLog struct {
	Common
	TargetResource *Ref[Unknown]    `cimi:"targetResource"`
	Events         *Ref[Collection] `cimi:"events,of=Event,ro"`
	Persistence    string           `cimi:"persistence"`
	Summary        *EventSummary    `cimi:"summary,ro"`
}

func (*EventLog) TypeName() string { return "EventLog" }

// EventSummary counts the Events of a log by severity (T52).
type EventSummary struct {
	Low      *int64 `cimi:"low,attr,element1"`
	Medium   *int64 `cimi:"medium,attr,element1"`
	High     *int64 `cimi:"high,attr,element1"`
	Critical *int64 `cimi:"critical,attr,element1"`
}

// EventLogTemplate says how to create an EventLog (5.17.11).
type EventLogTemplate struct {
	Common
	TargetResource *Ref[Unknown] `cimi:"targetResource"`
	Persistence    string        `cimi:"persistence"`
}

func (*EventLogTemplate) TypeName() string { return "EventLogTemplate" }

// EventLogCreate asks for an EventLog.
type EventLogCreate struct {
	Common
	EventLogTemplate *Ref[EventLogTemplate] `cimi:"eventLogTemplate,cmandatory"`
}

func (*EventLogCreate) TypeName() string { return "EventLogCreate" }

// Event is something that happened (5.17.13).
type Event struct {
	Common
	Timestamp *Time `cimi:"timestamp"`
	// Type is a URI; it tells the structure of Content (T55).
	Type     string `cimi:"type,std"`
	Content  any    `cimi:"content,refs"`
	Outcome  string `cimi:"outcome"`
	Severity string `cimi:"severity"`
	Contact  string `cimi:"contact"`
}

func (*Event) TypeName() string { return "Event" }
