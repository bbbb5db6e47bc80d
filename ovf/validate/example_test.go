package validate_test

import (
	"fmt"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

func ExampleValidate() {
	env, _ := ovf.Parse([]byte(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:id="f" ovf:href="../../etc/passwd"/></References>
<VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem></Envelope>`))
	for _, f := range validate.Validate(env, validate.Options{}) {
		fmt.Println(f.Severity, f.ID, f.Object)
	}
	// Output:
	// error OVF-REF-008 file f
	// error OVF-HW-001 VirtualSystem vm
}

func ExamplePortability() {
	env, _ := ovf.Parse([]byte(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/2" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/2">
<References/><VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem></Envelope>`))
	findings, _ := validate.Portability(env, validate.VMware)
	for _, f := range findings {
		fmt.Println(f.ID, f.Hint)
	}
	// Output: OVF-PORT-001 convert --ovf-version 1.1
}
