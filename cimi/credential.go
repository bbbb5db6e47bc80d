package cimi

// Credential is what a Machine's first login or an operation needs (5.14.9).
// userName, password and key are the extensions of T23 and T24 that every
// known provider uses; password and key are write-only.
type Credential struct {
	Common
	Parameters map[string]string `cimi:"parameters,since=2"`
	UserName   string            `cimi:"userName"`
	Password   string            `cimi:"password,wo"`
	Key        string            `cimi:"key,wo"`
}

func (*Credential) TypeName() string { return "Credential" }

// CredentialTemplate says how to create a Credential (5.14.11).
type CredentialTemplate struct {
	Common
	Parameters map[string]string `cimi:"parameters,since=2"`
	UserName   string            `cimi:"userName"`
	Password   string            `cimi:"password,wo"`
	Key        string            `cimi:"key,wo"`
}

func (*CredentialTemplate) TypeName() string { return "CredentialTemplate" }
