package cimi

import (
	"context"
	"slices"
	"strings"
)

// only2 are the types that only 2.0 has, those of their Create requests left out.
var only2 = []string{"locatedVolume", "RecoverableMachine", "ProtocolSegment", "ProtocolSegmentTemplate", "ProtocolEndpoint", "ProtocolEndpointTemplate",
	"NetworkInterface", "NetworkInterfaceTemplate", "SystemService", "NetworkService", "NetworkServiceTemplate"}

// TypeIn tells whether a version has a type; a type that is not modelled is in both.
func TypeIn(typeName string, v Version) bool {
	plain := strings.TrimSuffix(strings.TrimSuffix(typeName, "Collection"), "Create")
	switch v {
	case V1:
		return !slices.Contains(only2, plain)
	case V2:
		return plain == "" || newKnown1(plain) == nil
	}
	return true
}

type dialectKey struct{}

// WithVersion is ctx of a request that speaks a version: a Provider that has
// resources of one version only leaves them out of others.
func WithVersion(ctx context.Context, v Version) context.Context {
	return context.WithValue(ctx, dialectKey{}, v)
}

// RequestVersion is the version that a request speaks, 0 where it does not say.
func RequestVersion(ctx context.Context) Version {
	v, _ := ctx.Value(dialectKey{}).(Version)
	return v
}
