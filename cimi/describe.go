package cimi

// Describe gives the ResourceMetadata that follows from a type's attribute
// table (5.11): the constraints of each attribute of the standard. The
// Provider adds its id, extension attributes, capabilities and actions.
func Describe(typeName string) *ResourceMetadata {
	m := &ResourceMetadata{TypeURI: TypeURI(typeName)}
	m.Name = typeName
	for _, a := range Attributes(typeName) {
		if a.Name == "operations" || a.Until == 1 {
			continue
		}
		m.Attributes = append(m.Attributes, AttributeMetadata{
			Name:              a.Name,
			ProviderMandatory: Bool(a.ProviderMandatory),
			ConsumerMandatory: Bool(a.ConsumerMandatory),
			Mutable:           Bool(a.Mutable),
			ConsumerWritable:  Bool(a.ConsumerWritable),
		})
	}
	return m
}

// AddExtension describes an extension attribute of this project's namespace.
// typ is a data type of 5.5, or "any".
func (m *ResourceMetadata) AddExtension(name, typ string, writable bool) {
	m.Attributes = append(m.Attributes, AttributeMetadata{
		Name: name, Namespace: ExtensionNamespace, Type: typ,
		ProviderMandatory: Bool(false), ConsumerMandatory: Bool(false),
		Mutable: Bool(true), ConsumerWritable: Bool(writable),
	})
}

// AddCapability adds a capability of T7 of the described type.
func (m *ResourceMetadata) AddCapability(name string, value any) {
	m.Capabilities = append(m.Capabilities, Capability{Name: name, URI: CapabilityURI(m.Name, name), Value: plain(value)})
}

// Capability gives the value of a capability, nil when it is absent; a
// capability without a value is true (T6).
func (m *ResourceMetadata) Capability(name string) any {
	for _, c := range m.Capabilities {
		if c.URI == CapabilityURI(m.Name, name) || c.Name == name {
			if c.Value == nil {
				return true
			}
			return c.Value
		}
	}
	return nil
}
