package validate

// platform is what a target takes as it is.
type platform struct {
	version2, collections, chunks bool
	secureBoot, tpm, startup      bool
	buses, formats                []string // empty: all
	cards                         []string // ResourceSubTypes of adapters, in lower case; empty: all
	controllers                   []string // the same of controllers
	digests                       []string // algorithms of manifests; empty: all
	compressions                  []string // of References; empty: all
	families                      []string // of VirtualSystemType; empty: nobody asks
	streamOnly                    bool     // of VMDKs, streamOptimized only
	ownAddresses                  string   // what MAC addresses must begin with; empty: any
	noIDEWithEFI                  bool     // its EFI machines have no IDE
	nameLength                    int      // in characters; 0: none
	nameForbids                   string   // characters
	nameOnly                      func(r rune) bool
	firmwareWords                 string // whose description of the firmware is read: vmware, virtualbox; empty: both
	hrefForbids                   string // characters
}

// platforms say what the importers of today do, as their sources, manuals and
// the complaints about them have it (govc and vCenter for vmware, virt-v2v and
// libvirt for kvm, the engine of oVirt, VBoxManage).
var platforms = map[Target]platform{
	VMware: {collections: true, chunks: true, secureBoot: true, tpm: true, startup: true,
		buses: []string{"ide", "scsi", "sata", "nvme", "usb", "floppy"}, formats: []string{"vmdk"}, streamOnly: true,
		cards:       []string{"e1000", "e1000e", "pcnet32", "vmxnet", "vmxnet2", "vmxnet3", "flexible", "vmxnet3vrdma", "sriov"},
		controllers: []string{"lsilogic", "lsilogicsas", "buslogic", "virtualscsi", "vmware.sata.ahci", "vmware.nvme.controller", "piix4", "vmware.usb.ehci", "vmware.usb.xhci", "vmware.usb.pci"},
		digests:     []string{"sha256", "sha512"}, compressions: []string{"gzip"}, families: []string{"vmx-"}, ownAddresses: "00:50:56",
		nameLength: 80, nameForbids: `/\%`, firmwareWords: "vmware", hrefForbids: "[]*?%/"},
	VirtualBox: {version2: true, collections: true, secureBoot: true, tpm: true,
		buses: []string{"ide", "scsi", "sata", "usb", "floppy"}, formats: []string{"vmdk", "vhd", "vdi"},
		cards:       []string{"pcnet32", "e1000", "e1000e", "virtio", "virtio-net"},
		controllers: []string{"lsilogic", "lsilogicsas", "buslogic", "ahci", "piix3", "piix4", "ich6", "vmware.sata.ahci"},
		digests:     []string{"sha1", "sha256", "sha512"}, compressions: []string{"gzip"}, nameForbids: `/\:*?"<>|`, firmwareWords: "virtualbox"},
	OVirt: {secureBoot: true, tpm: true, noIDEWithEFI: true,
		buses: []string{"ide", "scsi", "sata", "virtio", "usb", "floppy"}, formats: []string{"vmdk", "qcow", "raw"},
		cards:   []string{"e1000", "e1000e", "rtl8139", "virtio", "pv", "1", "2", "3"},
		digests: []string{"sha1", "sha256"}, compressions: []string{"gzip"}, nameLength: 255, nameOnly: plainName},
	KVM: {secureBoot: true, tpm: true, noIDEWithEFI: true,
		buses: []string{"ide", "scsi", "sata", "nvme", "virtio", "usb", "floppy"}, formats: []string{"vmdk", "qcow", "raw", "vhd"},
		cards:       []string{"e1000", "e1000e", "rtl8139", "virtio", "virtio-net", "vmxnet3", "pcnet32", "ne2k_pci"},
		controllers: []string{"lsilogic", "lsilogicsas", "lsisas1068", "virtualscsi", "virtio-scsi", "ahci", "vmware.sata.ahci", "piix3", "piix4", "nvme", "vmware.nvme.controller"},
		digests:     []string{"sha1", "sha256"}, compressions: []string{"gzip"}, nameForbids: "/"},
	CIMI: {version2: true, collections: true, chunks: true},
}

// plainName are the characters of the names of oVirt's machines.
func plainName(r rune) bool {
	return r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// newestFamily is the virtual hardware of vSphere 7.0, for which hosts are
// still many; what asks for more, they refuse.
const newestFamily = 19

// esxi is the first release with a version of virtual hardware.
var esxi = map[int]string{20: "8.0", 21: "8.0 U2", 22: "9.0"}

// portable are the rules of Portability; all are warnings, since a package can
// be sound and yet not run everywhere.
var portable = map[string][2]string{
	"OVF-PORT-001": {"the target reads the version of the descriptor", "convert --ovf-version 1.1"},
	"OVF-PORT-002": {"the target takes collections", "import each virtual system by itself"},
	"OVF-PORT-003": {"the target reads chunks", "convert joins them"},
	"OVF-PORT-004": {"the target has the controller", "--controller-map gives another"},
	"OVF-PORT-005": {"the target reads the disk's format", "--disk-format gives another"},
	"OVF-PORT-006": {"the target has a virtual TPM", "keep the recovery key of sealed disks at hand"},
	"OVF-PORT-007": {"the target starts machines in order", "the order is kept beside"},
	"OVF-PORT-008": {"the target offers secure boot", ""},
	"OVF-PORT-009": {"a vendor's required section is known to the target", "mark it with ovf:required=\"false\""},
	"OVF-PORT-010": {"a delta disk is taken", "convert flattens it"},
	"OVF-PORT-011": {"the target has the network adapter", "it gives another, for which the guest needs a driver"},
	"OVF-PORT-012": {"the target has the model of the controller", "--controller-map gives another"},
	"OVF-PORT-013": {"the target has the virtual hardware", "add a vssd:VirtualSystemType that it knows"},
	"OVF-PORT-014": {"the target checks the digests of the manifest", "convert --sha sha256"},
	"OVF-PORT-015": {"the target takes the name of the machine", "--name gives another"},
	"OVF-PORT-016": {"the target finds a file of that name", "convert writes it under another"},
	"OVF-PORT-017": {"the target reads what says the firmware", "set it after the import"},
	"OVF-PORT-018": {"the firmware and the controllers of the target go together", "--controller-map ide=sata"},
	"OVF-PORT-019": {"the target undoes the compression of a file", "convert without compression"},
	"OVF-PORT-020": {"the target takes the adapter's MAC address", "--mac strip lets it give one"},
	"OVF-PORT-021": {"the target knows how much memory an Item without unit means", "write the unit"},
}
