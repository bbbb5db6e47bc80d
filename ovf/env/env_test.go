package env_test

import (
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/env"
)

const descriptor = `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:o="http://schemas.dmtf.org/ovf/envelope/1">
<References/><DeploymentOptionSection><Info/><Configuration o:id="a"/><Configuration o:id="b"/></DeploymentOptionSection>
<VirtualSystemCollection o:id="all"><Info/>
<ProductSection><Info/><Property o:key="mail" o:type="string" o:value="a@b"/><Property o:key="log" o:type="string" o:value="low"><Value o:value="high" o:configuration="b"/></Property></ProductSection>
<VirtualSystem o:id="web"><Info/><ProductSection><Info/><Property o:key="log" o:type="string" o:value="own"/></ProductSection>
<ProductSection o:class="com.x" o:instance="1"><Info/><Property o:key="parent" o:type="string" o:value="${log}/${none} &lt;"/></ProductSection></VirtualSystem>
<VirtualSystem o:id="db"><Info/></VirtualSystem></VirtualSystemCollection></Envelope>`

const want = `<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:ovfenv="http://schemas.dmtf.org/ovf/environment/1" ovfenv:id="web">
  <PlatformSection>
    <Kind>cimimove</Kind>
  </PlatformSection>
  <PropertySection>
    <Property ovfenv:key="mail" ovfenv:value="c@d"/>
    <Property ovfenv:key="log" ovfenv:value="own"/>
    <Property ovfenv:key="com.x.parent:1" ovfenv:value="high/${none} &lt;"/>
  </PropertySection>
  <Entity ovfenv:id="db">
    <PropertySection>
      <Property ovfenv:key="mail" ovfenv:value="c@d"/>
      <Property ovfenv:key="log" ovfenv:value="high"/>
    </PropertySection>
  </Entity>
</Environment>
`

func TestDocument(t *testing.T) {
	e, err := ovf.Parse([]byte(descriptor))
	if err != nil {
		t.Fatal(err)
	}
	opts := env.Options{Configuration: "b", Values: map[string]string{"mail": "c@d"}, Platform: env.Platform{Kind: "cimimove"}}
	got, err := env.Document(e.VirtualSystems()[0], opts)
	if err != nil || string(got) != want {
		t.Errorf("got %v\n%s", err, got)
	}
	opts.Configuration = "c"
	if _, err := env.Document(e.VirtualSystems()[0], opts); err == nil {
		t.Error("an unknown configuration passes")
	}
	if _, err := env.Document(ovf.Content{}, env.Options{}); err == nil {
		t.Error("no virtual system passes")
	}
}
