package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// invoked runs the program in this process.
func invoked(args ...string) (code int, stdout, stderr string) {
	var out, diagnostics bytes.Buffer
	code = run(context.Background(), append([]string{"cimimove"}, args...), strings.NewReader(""), &out, &diagnostics)
	return code, out.String(), diagnostics.String()
}

// refused: import and convert of a package end with the code, one line of
// error that names what, and nothing is left anywhere.
func refused(t *testing.T, file string, code int, names ...string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	cloud, out := "local:"+filepath.Join(dir, "cloud"), filepath.Join(dir, "out", "out.ova")
	if err := os.Mkdir(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", file, cloud}, {"convert", file, out}, {"convert", file, filepath.Join(filepath.Dir(out), "folder") + "/"}, {"validate", file}} {
		got, _, stderr := invoked(append(args, "--progress", "none")...)
		if args[0] == "convert" && code == 3 && got == 0 {
			// A disk that is copied as it is need not be decoded.
			if err := os.RemoveAll(args[2]); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got != code {
			t.Errorf("%s: exit code %d, want %d: %s", args[0], got, code, stderr)
			continue
		}
		if err := oneLine(stderr); err != nil {
			t.Errorf("%s: %v", args[0], err)
		}
		for _, name := range append(names, filepath.Base(file)) {
			if !strings.Contains(stderr, name) {
				t.Errorf("%s: the message does not name %s: %s", args[0], name, stderr)
			}
		}
		left, err := os.ReadDir(filepath.Dir(out))
		if err != nil || len(left) > 0 {
			t.Errorf("%s left %v behind (%v)", args[0], left, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "cloud")); err == nil {
		_, list, _ := invoked("ls", cloud, "systems", "--output", "json")
		var entries []entry
		if err := json.Unmarshal([]byte(list), &entries); err != nil || len(entries) > 0 {
			t.Errorf("the cloud holds %s (%v)", list, err)
		}
		if err := noDisks(filepath.Join(dir, "cloud")); err != nil {
			t.Error(err)
		}
	}
}

// TestTruncated cuts an archive at every place that means something: inside
// and at the end of each header, each file and each padding.
func TestTruncated(t *testing.T) {
	p, err := newTestPackage(filepath.Join("testdata", "descriptor"))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := p.archive()
	if err != nil {
		t.Fatal(err)
	}
	at, cuts := 0, []int{0, 1, 511}
	for _, m := range p.members {
		n := len(m.Content)
		cuts = append(cuts, at+512, at+512+n/2, at+512+n-1)
		at += 512 + (n+511)/512*512
	}
	dir := t.TempDir()
	for _, cut := range cuts {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			file := filepath.Join(dir, "cut.ova")
			if err := os.WriteFile(file, whole[:cut], 0o644); err != nil {
				t.Fatal(err)
			}
			refused(t, file, 3)
		})
	}
}

// TestHostileDescriptors: each is refused in one line, and quickly.
func TestHostileDescriptors(t *testing.T) {
	laughs := `<!DOCTYPE lolz [<!ENTITY a "ha">`
	for c := 'b'; c < 'k'; c++ {
		laughs += fmt.Sprintf(`<!ENTITY %c "%s">`, c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
	}
	for name, c := range map[string]struct {
		before, after string
		code          int // 0: inspect must live with it, validate finds it
	}{
		"laughs":     {"?>\n<Envelope", "?>\n" + laughs + "]>\n<Envelope", 3},
		"entity":     {"?>\n<Envelope", "?>\n<!DOCTYPE e [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\n<Envelope", 3},
		"unclosed":   {"</Envelope>", "", 3},
		"deep":       {"<Info>Networks</Info>", strings.Repeat("<x>", 100000) + strings.Repeat("</x>", 100000), 3},
		"dots":       {`href="disk1.vmdk"`, `href="../../disk1.vmdk"`, 3},
		"absolute":   {`href="disk1.vmdk"`, `href="/etc/passwd"`, 3},
		"file-url":   {`href="disk1.vmdk"`, `href="file:///etc/passwd"`, 3},
		"missing":    {`href="disk1.vmdk"`, `href="disk2.vmdk"`, 3},
		"no-ref":     {`fileRef="file1"`, `fileRef="file7"`, 3},
		"own-parent": {`ovf:fileRef="file1"`, `ovf:fileRef="file1" ovf:parentRef="disk1"`, 0},
		"huge":       {`capacity="2097152"`, `capacity="99999999999999999999999"`, 0},
		"huge-unit":  {`capacity="2097152"`, `capacity="9223372036854775807" ovf:capacityAllocationUnits="byte * 2^60"`, 0},
		"negative":   {`capacity="2097152"`, `capacity="-5"`, 0},
		"no-number":  {`capacity="2097152"`, `capacity="plenty"`, 0},
		"huge-cpu":   {`<rasd:VirtualQuantity>2<`, `<rasd:VirtualQuantity>99999999999999999999999<`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newTestPackage(filepath.Join("testdata", "descriptor"), "replace="+c.before+"=>"+c.after)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "bad.ova")
			if err := p.write(file); err != nil {
				t.Fatal(err)
			}
			if c.code != 0 {
				refused(t, file, c.code)
			}
			if code, _, stderr := invoked("inspect", file); code != 0 && code != 3 {
				t.Errorf("inspect: exit code %d: %s", code, stderr)
			}
			if code, _, stderr := invoked("validate", file, "--progress", "none"); code != 3 || oneLine(stderr) != nil {
				t.Errorf("validate: exit code %d: %s", code, stderr)
			}
		})
	}
}

// TestWrongSize: the archive's size counts, References only cause a warning (AC-14).
func TestWrongSize(t *testing.T) {
	p, err := newTestPackage(filepath.Join("testdata", "descriptor"), `replace=href="disk1.vmdk" ovf:size="=>href="disk1.vmdk" ovf:size="9`)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	file := filepath.Join(dir, "sized.ova")
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := invoked("import", file, "local:"+filepath.Join(dir, "cloud"))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if _, out, _ := invoked("inspect", file, "--output", "json"); !strings.Contains(out, "OVF-REF-012") {
		t.Errorf("inspect does not tell of the size: %s", out)
	}
}

// TestBomb: a disk that inflates to more than its capacity is stopped early.
func TestBomb(t *testing.T) {
	p, err := newTestPackage(filepath.Join("testdata", "descriptor"), `replace=ovf:href="disk1.vmdk"=>ovf:href="disk1.vmdk" ovf:compression="gzip"`, "manifest=none")
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.members {
		if p.members[i].Name == "disk1.vmdk" {
			p.members[i].Content = gzipped(make([]byte, 160<<20))
		}
	}
	file := filepath.Join(t.TempDir(), "bomb.ova")
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	refused(t, file, 3, "disk1.vmdk")
}

// TestHugeTar: a header that promises more than there is.
func TestHugeTar(t *testing.T) {
	for _, size := range []int64{1 << 40, 1<<63 - 1} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "machine.ovf", Size: size, Mode: 0o644, Format: tar.FormatGNU}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "huge.ova")
		if err := os.WriteFile(file, append(b.Bytes(), make([]byte, 4096)...), 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, file, 3)
	}
}

// TestInterrupted: SIGINT ends an import with 130, SIGTERM with 143, and
// nothing of it stays.
func TestInterrupted(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
		dir := t.TempDir()
		p, err := newTestPackage(filepath.Join("testdata", "descriptor"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.archive()
		if err != nil {
			t.Fatal(err)
		}
		// The package comes on standard input and stops half way.
		cmd := exec.Command("cimimove", "import", "-", "local:cloud", "--progress", "none", "--output", "json")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out, diagnostics bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &diagnostics
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(b[:len(b)/2]); err != nil {
			t.Fatal(err)
		}
		soon(t, "a file of the disk", func() bool { return noDisks(filepath.Join(dir, "cloud")) != nil })
		cmd.Process.Signal(c.signal)
		ended := make(chan struct{})
		go func() {
			cmd.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			<-ended
			t.Errorf("%v: it waits for standard input and does not end", c.signal)
		}
		if got := cmd.ProcessState.ExitCode(); got != c.code {
			t.Errorf("%v: exit code %d, want %d: %s", c.signal, got, c.code, diagnostics.String())
		}
		if err := oneLine(diagnostics.String()); err != nil {
			t.Error(err)
		}
		if v, err := at(out.String(), ".error.code"); err != nil || v != fmt.Sprint(c.code) {
			t.Errorf("%v: %s %v", c.signal, v, err)
		}
		if err := noDisks(filepath.Join(dir, "cloud")); err != nil {
			t.Error(err)
		}
	}
}
