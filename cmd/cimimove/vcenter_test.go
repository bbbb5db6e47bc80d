package main

import (
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
)

// scriptVCenter starts a simulated vCenter: vcenter NAME. $NAME names its
// datacenter, $NAME_PIN pins its certificate; the environment has the operator's
// credentials for both sides.
func scriptVCenter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: vcenter NAME")
	}
	v, err := vctest.Start(vctest.Options{})
	ts.Check(err)
	ts.Defer(v.Close)
	ts.Setenv(args[0], v.Endpoint())
	ts.Setenv(args[0]+"_PIN", v.Pin())
	for _, side := range []string{"SOURCE", "DESTINATION"} {
		ts.Setenv("CIMIMOVE_"+side+"_USER", vctest.User)
		ts.Setenv("CIMIMOVE_"+side+"_PASSWORD", vctest.Password)
	}
	ts.Check(os.WriteFile(ts.MkAbs(strings.ToLower(args[0])+".pem"), v.CA(), 0o600))
}
