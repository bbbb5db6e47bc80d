package migrate

// Rule ids of findings of plans and reports, beside those of mapping.md and of
// the packages below ovf. They are stable: --allow and --deny name them.
const (
	RuleNetwork         = "PLAN-NET-001"     // a network's target is not at the destination
	RuleUnmapped        = "PLAN-NET-002"     // a network is created with the System
	RuleUnusedNet       = "PLAN-NET-003"     // a mapping names no network of the System
	RuleExists          = "PLAN-EXISTS-001"  // the name is taken
	RuleWay             = "PLAN-WAY-001"     // the way is not offered
	RuleRelay           = "PLAN-RELAY-001"   // how the destination reaches the relay
	RulePower           = "PLAN-POWER-001"   // machines run
	RuleStart           = "PLAN-START-001"   // machines cannot be started at the destination
	RuleImport          = "PLAN-IMPORT-001"  // the destination offers no import
	RuleExport          = "PLAN-EXPORT-001"  // the source offers no export
	RuleSize            = "DISK-SIZE-001"    // a destination disk is larger, the rest zero
	RuleConfig          = "VERIFY-CONF-001"  // the configuration differs
	RuleVerification    = "VERIFY-DISK-001"  // a disk could not be verified
	RuleLeft            = "PLAN-CLEAN-001"   // something could not be removed
	RuleDigest          = "VERIFY-CLOUD-001" // the source cloud's digest is another
	RuleName            = "PLAN-NAME-001"    // the name at the destination is none that a cloud takes
	RuleDescriptor      = "PLAN-DESC-001"    // the descriptor cannot be read or deployed
	RuleConfiguration   = "PLAN-CFG-001"     // the deployment option is not in the package
	RuleProperty        = "PLAN-PROP-001"    // no property of that key
	RulePropertyFixed   = "PLAN-PROP-002"    // the property is not for users to set
	RulePropertyValue   = "PLAN-PROP-003"    // the value is not of the type, or outside of its qualifiers
	RulePropertyMissing = "PLAN-PROP-004"    // a value is missing
	RuleDriver          = "PLAN-DRIVER-001"  // the guest may have no virtio drivers
	RuleFirmware        = "PLAN-FIRMWARE-001"
	RuleTPM             = "PLAN-FIRMWARE-002" // a virtual TPM does not move
	RuleInsecure        = "PLAN-TLS-001"      // a certificate is not checked
	RuleMAC             = "PLAN-MAC-001"      // a MAC address that is kept is taken
	RuleNoFit           = "PLAN-CONFIG-001"   // no machine configuration is large enough
	RuleQuota           = "PLAN-QUOTA-001"    // beyond a limit of the destination
	RuleSpace           = "PLAN-SPACE-001"    // the disks may not fit
	RuleStageSpace      = "PLAN-STAGE-001"    // the package may not fit where it waits
	RuleHook            = "HOOK-001"          // a hook failed, and the migration went on
	RuleAfter           = "PLAN-AFTER-001"    // the source cannot be dealt with as asked
	RuleLocalDisk       = "PLAN-DISK-001"     // a disk of a machine that is no Volume, and cannot be moved
	RuleOwnDisk         = "PLAN-DISK-002"     // one that becomes a Volume at the destination
	RuleStorage         = "PLAN-STORAGE-001"  // no such place at the destination
	RuleNoSystems       = "PLAN-SYSTEM-001"   // the destination offers no Systems: the parts are made by themselves
	RuleOldImage        = "PLAN-IMAGE-001"    // an image that was there is read, as none can be made
	RuleWarmSource      = "PLAN-WARM-001"     // the source cannot be copied while it runs
	RuleWarmTarget      = "PLAN-WARM-002"     // the destination takes no parts of disks
	RuleWarm            = "PLAN-WARM-003"     // how long the machines are at rest
	RuleWarmProof       = "VERIFY-WARM-001"   // the destination's cloud has read the disks anew
	RuleWarmTold        = "VERIFY-WARM-002"   // the source's host was believed in what has changed
	RuleController      = "PLAN-CTL-001"      // disks cannot be put on the controllers asked for
)
