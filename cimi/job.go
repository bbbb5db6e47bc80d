package cimi

// Job is a process that a Provider performs (5.17.1).
type Job struct {
	Common
	// State is one of JobQueued, JobRunning, JobSuccess, JobFailed, JobStopping, JobStopped.
	State             string         `cimi:"state,ro"`
	TargetResource    *Ref[Unknown]  `cimi:"targetResource,ro"`
	AffectedResources []Ref[Unknown] `cimi:"affectedResources,item=affectedResource,ro"`
	Action            string         `cimi:"action,ro,std"`
	// ReturnCode 0 to 9999 is the standard's; 10000+n is exit code n of this project.
	ReturnCode *int64 `cimi:"returnCode,ro"`
	// Progress is a percentage; 100 whenever the Job has ended, however.
	Progress           *int64     `cimi:"progress,ro"`
	StatusMessage      string     `cimi:"statusMessage,ro"`
	TimeOfStatusChange *Time      `cimi:"timeOfStatusChange,ro"`
	ParentJob          *Ref[Job]  `cimi:"parentJob,ro"`
	NestedJobs         []Ref[Job] `cimi:"nestedJobs,item=nestedJob,ro"`
}

func (*Job) TypeName() string { return "Job" }

// Ended tells whether the Job has come to its end, successful or not.
func (j *Job) Ended() bool {
	return j.State == JobSuccess || j.State == JobFailed || j.State == JobStopped
}
