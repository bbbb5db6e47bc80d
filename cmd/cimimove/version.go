package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
)

type versionDocument struct {
	Version string   `json:"version"`
	Go      string   `json:"go"`
	OVF     []string `json:"ovf"`
	CIMI    []string `json:"cimi"`
}

func version(_ context.Context, _ *call) (result, error) {
	doc := &versionDocument{build(), runtime.Version(), []string{"0.9", "1.0", "1.1", "2.0"}, []string{"2.0"}}
	return result{doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "cimimove %s (%s); OVF %s; CIMI %s\n", doc.Version, doc.Go, strings.Join(doc.OVF, ", "), strings.Join(doc.CIMI, ", "))
		return err
	}}, nil
}
