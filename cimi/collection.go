package cimi

import "strings"

// Collection is a group of resources of one type, or a page of it (5.5.12).
type Collection struct {
	Common
	// Item is the type name of the entries: "Machine", "locatedVolume".
	Item string
	// Count is the number of resources before subsetting, after filtering (4.1.6.2).
	Count *int64 `cimi:"count,mandatory,ro"`
	// Items are the entries; those of an enhanced collection carry its accessory attributes.
	Items []Resource
}

// NewCollection makes a collection of entries of the type named item.
func NewCollection(id, item string, items ...Resource) *Collection {
	return &Collection{Common: Common{ID: id}, Item: item, Items: items, Count: Int(int64(len(items)))}
}

// TypeName is "MachineCollection" for Machines.
func (c *Collection) TypeName() string { return c.Item + "Collection" }

func (c *Collection) groupName() string { return GroupName(c.Item) }

// GroupName is the name of the JSON array and of the XML element that hold the
// entries of a type in a Collection (5.5.12): "machines" of Machine.
func GroupName(item string) string {
	switch item {
	case "":
		return "items"
	case "NetworkService": // 5.16.18
		return "services"
	case "ResourceMetadata": // 5.11.2
		return "resourceMetadatas"
	}
	s := strings.ToLower(item[:1]) + item[1:]
	switch {
	case strings.HasSuffix(s, "y"):
		return s[:len(s)-1] + "ies"
	case strings.HasSuffix(s, "s"):
		return s + "es"
	}
	return s + "s"
}
