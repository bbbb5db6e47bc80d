package ovf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

const allViews = `<Envelope xmlns="` + ovf.NS2 + `" xmlns:ovf="` + ovf.NS2 + `" xmlns:rasd="` + ovf.NSRASD + `" xmlns:epasd="` + ovf.NSEPASD + `" xmlns:bootc="` + ovf.NSBootC + `" xmlns:boots="` + ovf.NSBootS + `" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:vmw="` + ovf.NSVMW + `" xmlns:vbox="` + ovf.NSVBox + `">
<References><File ovf:id="de" ovf:href="de.xml"/><File ovf:id="key" ovf:href="id_rsa.pub"/><File ovf:id="nv" ovf:href="vm.nvram"/></References>
<NetworkSection><Info/><Network ovf:name="lan"><NetworkPortProfile><Item><epasd:InstanceID>1</epasd:InstanceID></Item></NetworkPortProfile></Network></NetworkSection>
<PlacementGroupSection ovf:id="g" ovf:policy="availability"><Info/><Description>apart</Description></PlacementGroupSection>
<EncryptionSection><Info/><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="alg"/><xenc:ReferenceList><xenc:DataReference URI="x.vhd"/></xenc:ReferenceList></xenc:EncryptedKey></EncryptionSection>
<VirtualSystem ovf:id="vm"><Info ovf:msgid="m">A machine</Info><PlacementSection ovf:group="g"><Info/></PlacementSection>
<BootDeviceSection><Info/><bootc:CIM_BootConfigSetting><bootc:Caption>Seq</bootc:Caption><boots:CIM_BootSourceSetting><boots:BootString>CD</boots:BootString><boots:InstanceID>3</boots:InstanceID></boots:CIM_BootSourceSetting></bootc:CIM_BootConfigSetting></BootDeviceSection>
<EnvironmentFilesSection ovf:transport="iso"><Info/><File ovf:fileRef="key" ovf:path="/keys/id"/></EnvironmentFilesSection>
<VirtualHardwareSection><Info/><Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity><vmw:CoresPerSocket ovf:required="false">2</vmw:CoresPerSocket></Item>
<Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceSubType>vmware.vtpm</rasd:ResourceSubType><rasd:ResourceType>1</rasd:ResourceType></Item>
<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/><vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="true"/>
<vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/nv"/></VirtualHardwareSection>
<vbox:Machine ovf:required="false" name="vb" uuid="{7}" OSType="Ubuntu_64"><Hardware><Firmware type="EFI"/><Network><Adapter slot="0" enabled="true" MACAddress="080027AABBCC" type="82540EM"/></Network></Hardware></vbox:Machine>
</VirtualSystem>
<Strings xml:lang="fr"><Msg ovf:msgid="m">Une machine</Msg></Strings><Strings xml:lang="de-DE" ovf:fileRef="de"/></Envelope>`

// Every view reads its section; all survive an edit.
func TestViewsOfVersion2(t *testing.T) {
	e, err := ovf.Parse([]byte(allViews))
	if err != nil {
		t.Fatal(err)
	}
	vm, _ := e.ByID("vm")
	look := func() string {
		boot := vm.BootConfigs()
		files := vm.EnvironmentFiles()
		f, _ := files[0].File()
		groups, enc := e.PlacementGroups(), e.Encryptions()
		m, _ := vm.VirtualBox()
		return fmt.Sprint(boot[0].Caption, boot[0].Sources[0].BootString, files[0].Path, files[0].Transport, f.Href, groups[0].ID, groups[0].Policy, groups[0].Description,
			vm.Placement(), enc[0].Files, enc[0].Methods, len(e.Networks()[0].PortProfiles()[0].Items), m.Name, m.UUID, m.Firmware, m.Adapters[0].MAC)
	}
	want := "SeqCD/keys/id[iso]id_rsa.pubgavailabilityapart[g][x.vhd][alg]1vb7EFI080027AABBCC"
	if got := strings.ReplaceAll(look(), " ", ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := vm.SetName("edited"); err != nil {
		t.Fatal(err)
	}
	if e, err = ovf.Parse(e.Bytes()); err != nil {
		t.Fatal(err)
	}
	vm, _ = e.ByID("vm")
	if got := strings.ReplaceAll(look(), " ", ""); got != want || vm.Name != "edited" {
		t.Errorf("after an edit: %s", got)
	}
}

// Texts by locale: embedded and external bundles (clause 10).
func TestBundles(t *testing.T) {
	e, err := ovf.Parse([]byte(allViews))
	if err != nil {
		t.Fatal(err)
	}
	vm, _ := e.ByID("vm")
	bundles := e.Bundles()
	if len(bundles) != 2 || bundles[1].FileRef != "de" {
		t.Fatalf("%+v", bundles)
	}
	german, err := e.ParseBundle([]byte(`<Strings xmlns="` + ovf.NS2 + `" xmlns:ovf="` + ovf.NS2 + `" xml:lang="de-DE"><Msg ovf:msgid="m">Eine Maschine</Msg></Strings>`))
	if err != nil {
		t.Fatal(err)
	}
	bundles[1] = german
	for locale, want := range map[string]string{"fr-CA": "Une machine", "de-DE": "Eine Maschine", "de": "Eine Maschine", "it": "A machine"} {
		if got := vm.Child("Info").Translate(locale, bundles); got != want {
			t.Errorf("%s: %q", locale, got)
		}
	}
	if _, err := e.ParseBundle([]byte("<Other/>")); err == nil {
		t.Error("another document passes")
	}
}

// AC-26: firmware, secure boot, NVRAM and vTPM are told.
func TestAC26Firmware(t *testing.T) {
	e, err := ovf.Parse([]byte(allViews))
	if err != nil {
		t.Fatal(err)
	}
	h, _ := e.VirtualSystems()[0].HardwareFor(nil)
	f, ok := h.NVRAM()
	if h.Firmware() != "efi" || !h.SecureBoot() || !h.TPM("") || h.CoresPerSocket("") != 2 || !ok || f.Href != "vm.nvram" || h.ExtraConfig()["nvram"] != "ovf:/file/nv" {
		t.Errorf("%s %v %v %d %v %v", h.Firmware(), h.SecureBoot(), h.TPM(""), h.CoresPerSocket(""), f, h.ExtraConfig())
	}
	bios := strings.ReplaceAll(allViews, `<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>`, "")
	if e, err = ovf.Parse([]byte(bios)); err != nil {
		t.Fatal(err)
	}
	h, _ = e.VirtualSystems()[0].HardwareFor(nil)
	if h.Firmware() != "efi" {
		t.Error("VirtualBox's firmware is not seen")
	}
}
