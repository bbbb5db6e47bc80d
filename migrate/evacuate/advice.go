package evacuate

import (
	"strings"

	"github.com/cimimove/cimimove/migrate"
)

// advise gives a failure of a System that has no hint of its own the one of its
// class: whoever reads the report in the morning knows what to do next.
func advise(f *migrate.Failure, run, system string) {
	if f == nil || f.Hint != "" {
		return
	}
	retry := "cimimove retry " + run + " " + shellWord(system)
	switch migrate.Class(f.Code) {
	case migrate.ClassUsage:
		f.Hint = "the runbook or the configuration file is to be changed; then the same command tries it again"
	case migrate.ClassInvalid:
		f.Hint = "the package that the source makes of it is not valid; cimimove export and validate show what is wrong with it"
	case migrate.ClassIntegrity:
		f.Hint = "the copy is not kept, the source is as it was; after a look at the disks and the line, " + retry
	case migrate.ClassRefused:
		f.Hint = "cimimove plan shows all that is refused at once; with it put right, " + retry
	case migrate.ClassAuth:
		f.Hint = "see the credentials, and the certificate, of this side; then " + retry
	case migrate.ClassTransfer:
		f.Hint = "see whether this side can be reached; " + retry + " goes on with what has arrived"
	case migrate.ClassRemote:
		f.Hint = "the log of that cloud may say more; " + retry
	default:
		f.Hint = "with the cause gone, " + retry
	}
}

// shellWord is a name as a shell takes it for one word.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@", r)
	}
	if s != "" && strings.TrimLeftFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
