package files_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cimimove/cimimove/ovf/files"
)

func ExampleOpen() {
	folder, _ := os.MkdirTemp("", "package")
	defer os.RemoveAll(folder)
	descriptor := `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:id="f" ovf:href="readme.txt"/></References><VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem></Envelope>`
	os.WriteFile(filepath.Join(folder, "app.ovf"), []byte(descriptor), 0o644)
	os.WriteFile(filepath.Join(folder, "readme.txt"), []byte("hello"), 0o644)

	ctx := context.Background()
	pkg, err := files.Open(ctx, folder, files.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pkg.Close()
	for c, err := range files.Contents(ctx, pkg, files.Options{}) {
		if err != nil {
			fmt.Println(err) // a file is missing, or a digest does not match
			return
		}
		b, _ := io.ReadAll(c)
		fmt.Println(c.File.Href, string(b))
	}
	// Output: readme.txt hello
}
