package edit_test

import (
	"fmt"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
)

func ExampleApply() {
	env, _ := ovf.Parse([]byte(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References/>
<NetworkSection><Info>Networks</Info>
  <Network ovf:name="VM Network"/>
</NetworkSection>
<VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem>
</Envelope>
`))
	before := env.Bytes()
	if _, err := edit.Apply(env, edit.Options{Networks: map[string]string{"*": "production"}}); err != nil {
		fmt.Println(err)
	}
	fmt.Print(edit.Diff("app.ovf", before, env.Bytes()))
	// Output:
	// --- app.ovf
	// +++ app.ovf
	// @@ -1,7 +1,7 @@
	//  <Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
	//  <References/>
	//  <NetworkSection><Info>Networks</Info>
	// -  <Network ovf:name="VM Network"/>
	// +  <Network ovf:name="production"/>
	//  </NetworkSection>
	//  <VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem>
	//  </Envelope>
}
