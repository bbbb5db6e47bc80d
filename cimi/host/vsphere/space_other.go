//go:build !unix

package vsphere

// freeSpace is how many bytes a folder has room for, -1 when nobody knows.
func freeSpace(string) int64 { return -1 }
