package xmltree

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func parse(t *testing.T, s string) *Document {
	t.Helper()
	d, err := Parse([]byte(s), Limits{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return d
}

func first(d *Document, local string) *Node {
	for n := range d.Root().Descendants() {
		if n.Name().Local == local {
			return n
		}
	}
	return nil
}

const sample = "<?xml version='1.0'?>\r\n<!-- top -->\n<a  xmlns = 'u:a' xmlns:p=\"u:p\"\n  p:x = '1' y=\"&lt;&#65;'\">\n  <b/>\n  <p:c p:z='q' >t<![CDATA[<&]]>x<!-- no -->&amp;</p:c >\n  <d>\n    <e>1</e>\n  </d>\n</a>\n<!-- end -->\n"

func TestUntouchedIsIdentical(t *testing.T) {
	d := parse(t, sample)
	if got := string(d.Bytes()); got != sample {
		t.Errorf("got %q", got)
	}
	if v, ok := d.Root().Attr("u:p", "x"); !ok || v != "1" {
		t.Errorf("p:x = %q, %v", v, ok)
	}
	if v, _ := d.Root().Attr("", "y"); v != "<A'" {
		t.Errorf("y = %q", v)
	}
	if got := first(d, "c").Text(); got != "t<&x&" {
		t.Errorf("text %q", got)
	}
	if got := first(d, "c").Name(); got != (Name{"u:p", "c"}) {
		t.Errorf("name %v", got)
	}
	if got := first(d, "e").Name(); got != (Name{"u:a", "e"}) {
		t.Errorf("name %v", got)
	}
}

// Every edit is a replacement of one stretch of the sample and nothing else.
func TestEditsAreSplices(t *testing.T) {
	u := func(local string) Fragment { return Fragment{Name: Name{"u:a", local}} }
	tests := []struct {
		name     string
		edit     func(d *Document)
		from, to string
	}{
		{"attribute in single quotes", func(d *Document) { d.Root().SetAttr("u:p", "x", `a"'<`, "") }, "p:x = '1'", `p:x = 'a"&apos;&lt;'`},
		{"same value is no edit", func(d *Document) { d.Root().SetAttr("u:p", "x", "1", "") }, "", ""},
		{"new attribute", func(d *Document) { first(d, "b").SetAttr("u:p", "n", "v", "") }, "<b/>", `<b p:n="v"/>`},
		{"new attribute of a new namespace", func(d *Document) { first(d, "b").SetAttr("u:q", "n", "v", "q") }, "<b/>", `<b xmlns:q="u:q" q:n="v"/>`},
		{"attribute before a blank", func(d *Document) { first(d, "c").SetAttr("u:p", "n", "v", "") }, "p:z='q' >", `p:z='q' p:n="v" >`},
		{"attribute removed", func(d *Document) { d.Root().RemoveAttr("u:p", "x") }, "\n  p:x = '1' y", " y"},
		{"text", func(d *Document) { first(d, "e").SetText("2 & 3") }, "<e>1</e>", "<e>2 &amp; 3</e>"},
		{"text of an empty tag", func(d *Document) { first(d, "b").SetText("n") }, "<b/>", "<b>n</b>"},
		{"element removed", func(d *Document) { first(d, "b").Remove() }, "\n  <b/>", ""},
		{"last child appended", func(d *Document) { d.Root().Append(u("n")) }, "</d>\n</a>", "</d>\n  <n/>\n</a>"},
		{"child of an empty element", func(d *Document) { first(d, "b").Append(u("n")) }, "<b/>", "<b>\n    <n/>\n  </b>"},
		{"before", func(d *Document) { d.Root().Insert(u("n"), first(d, "d"), false) }, "  <d>", "  <n/>\n  <d>"},
		{"behind", func(d *Document) { d.Root().Insert(u("n"), first(d, "b"), true) }, "<b/>", "<b/>\n  <n/>"},
		{"with children", func(d *Document) {
			f := u("n")
			f.Children = []Fragment{{Name: Name{"u:p", "k"}, Text: "<"}}
			first(d, "d").Append(f)
		}, "<e>1</e>\n", "<e>1</e>\n    <n>\n      <p:k>&lt;</p:k>\n    </n>\n"},
		{"wrapped", func(d *Document) { first(d, "b").Wrap(u("w")) }, "<b/>", "<w>\n    <b/>\n  </w>"},
		{"insert and remove is nothing", func(d *Document) { n, _ := d.Root().Append(u("n")); n.Remove() }, "", ""},
		{"insert a parent, set it, and append", func(d *Document) {
			f := u("n")
			f.Children = []Fragment{u("m")}
			n, _ := d.Root().Append(f)
			n.SetAttr("", "i", "2", "")
			n.Append(u("o"))
		}, "</d>\n</a>", "</d>\n  <n i=\"2\">\n    <m/>\n    <o/>\n  </n>\n</a>"},
		{"insert, then set", func(d *Document) { n, _ := d.Root().Append(u("n")); n.SetText("1"); n.SetAttr("", "i", "2", "") }, "</d>\n</a>", "</d>\n  <n i=\"2\">1</n>\n</a>"},
	}
	for _, tt := range tests {
		d := parse(t, sample)
		tt.edit(d)
		want := strings.Replace(sample, tt.from, tt.to, 1)
		if got := string(d.Bytes()); got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.name, got, want)
		}
		if _, err := Parse(d.Bytes(), Limits{}); err != nil {
			t.Errorf("%s: does not parse again: %v", tt.name, err)
		}
	}
}

func TestManyEdits(t *testing.T) {
	d := parse(t, "<r>\n"+strings.Repeat("  <i>0</i>\n", 50)+"</r>\n")
	var want strings.Builder
	want.WriteString("<r>\n")
	i := 0
	var all []*Node
	for n := range d.Root().Children() {
		all = append(all, n)
	}
	for _, n := range all {
		switch i % 3 {
		case 0:
			n.Remove()
		case 1:
			n.SetText(fmt.Sprint(i))
			fmt.Fprintf(&want, "  <i>%d</i>\n", i)
		case 2:
			d.Root().Insert(Fragment{Name: Name{"", "j"}}, n, false)
			fmt.Fprintf(&want, "  <j/>\n  <i>0</i>\n")
		}
		i++
	}
	want.WriteString("</r>\n")
	if got := string(d.Bytes()); got != want.String() {
		t.Errorf("got %s", got)
	}
}

func TestEncodings(t *testing.T) {
	utf16 := func(bom bool, s string) []byte {
		var b []byte
		if bom {
			b = append(b, 0xFF, 0xFE)
		}
		for _, r := range s {
			b = append(b, byte(r), byte(r>>8))
		}
		return b
	}
	text := func(enc string) string { return "<?xml version=\"1.0\" encoding=\"" + enc + "\"?><a>é</a>" }
	tests := map[string]struct{ in, edited []byte }{
		"utf-8 with mark":        {[]byte("\xEF\xBB\xBF<a>é</a>"), []byte("\xEF\xBB\xBF<a>ü€</a>")},
		"utf-16":                 {utf16(true, text("UTF-16")), utf16(true, strings.Replace(text("UTF-16"), "é", "ü€", 1))},
		"utf-16 bare":            {utf16(false, text("UTF-16LE")), utf16(false, strings.Replace(text("UTF-16LE"), "é", "ü€", 1))},
		"utf-8 that says utf-16": {[]byte(text("utf-16")), []byte(strings.Replace(text("utf-8"), "é", "ü€", 1))}, // XenCenter's; an edit puts it right
		"utf-16 that says utf-8": {utf16(true, text("UTF-8")), utf16(true, strings.Replace(text("utf-16"), "é", "ü€", 1))},
		"marked, says latin-1":   {[]byte("\xEF\xBB\xBF" + text("ISO-8859-1")), []byte("\xEF\xBB\xBF" + strings.Replace(text("utf-8"), "é", "ü€", 1))},
		"latin-1":                {[]byte(strings.Replace(text("ISO-8859-1"), "é", "\xE9", 1)), []byte(strings.Replace(text("ISO-8859-1"), "é", "\xFC&#8364;", 1))},
		"windows-1252":           {[]byte(strings.Replace(text("windows-1252"), "é", "\xE9", 1)), []byte(strings.Replace(text("windows-1252"), "é", "\xFC\x80", 1))},
		"gb18030":                {[]byte(strings.Replace(text("GB18030"), "é", "\xA8\xA6", 1)), []byte(strings.Replace(text("GB18030"), "é", "\xA8\xB9\xA2\xE3", 1))},
		"koi8-r":                 {[]byte(strings.Replace(text("KOI8-R"), "é", "&#233;", 1)), []byte(strings.Replace(text("KOI8-R"), "é", "&#252;&#8364;", 1))},
	}
	for name, tt := range tests {
		d, err := Parse(tt.in, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := d.Root().Text(); got != "é" {
			t.Errorf("%s: text %q", name, got)
		}
		if !bytes.Equal(d.Bytes(), tt.in) {
			t.Errorf("%s: untouched bytes differ", name)
		}
		if says, is := d.Misdeclared(); (says != "") != strings.Contains(name, "says") || says == is {
			t.Errorf("%s: it says %q and is %q", name, says, is)
		}
		d.Root().SetText("ü€")
		if !bytes.Equal(d.Bytes(), tt.edited) {
			t.Errorf("%s: edited %q, want %q", name, d.Bytes(), tt.edited)
		}
	}
}

func TestRefused(t *testing.T) {
	tests := map[string]string{
		"":                 "no root",
		"text":             "outside",
		"<a>":              "ends inside of element a",
		"<a></b>":          "closed by </b>",
		"<a/><b/>":         "after the end",
		"<a x='1' x='2'/>": "twice",
		"<a>&unknown;</a>": "entity",
		"<a x=1/>":         "quoted",
		"<?xml version='1.0' encoding='EBCDIC-US'?><a/>":            "encoding",
		"<?xml version='1.0' encoding='UTF-7'?><a/>":                "encoding",
		"<?xml version='1.0' encoding='ISO-2022-JP'?><a/>":          "encoding",
		"<?xml version='1.0' encoding='HZ-GB-2312'?><a/>":           "encoding",
		"<?xml version='1.0' encoding='IBM037'?><a/>":               "encoding",
		"<?xml version='1.0' encoding='windows-1252'?><a>\x81</a>":  "mean nothing",
		"<?xml version='1.0' encoding='Shift_JIS'?><a>\x82\xFF</a>": "mean nothing",
		"\xFF\xFE<\x00a": "odd number",
	}
	for in, want := range tests {
		_, err := Parse([]byte(in), Limits{})
		var se *SyntaxError
		if !errors.As(err, &se) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a syntax error with %q", in, err, want)
		}
	}
	if _, err := Parse([]byte("<!DOCTYPE a><a/>"), Limits{}); err != nil {
		t.Errorf("a bare document type: %v", err)
	}
	_, err := Parse([]byte("<a>\n<b>\n</c></a>"), Limits{})
	var se *SyntaxError
	if !errors.As(err, &se) || se.Line != 3 || se.Offset != 8 {
		t.Errorf("place of the error: %+v", se)
	}
}

func TestLimits(t *testing.T) {
	var attrs strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&attrs, " a%d=''", i)
	}
	tests := map[string]struct {
		in     string
		limits Limits
		what   string
	}{
		"depth":            {strings.Repeat("<a>", 100_000), Limits{}, "depth"},
		"attributes":       {"<a" + attrs.String() + "/>", Limits{}, "attributes"},
		"elements":         {"<a>" + strings.Repeat("<b/>", 100) + "</a>", Limits{Elements: 50}, "elements"},
		"bytes":            {"<a>" + strings.Repeat(" ", 100) + "</a>", Limits{Bytes: 50}, "bytes"},
		"an entity":        {"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", Limits{}, Entities},
		"parameter":        {"<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://e/x'>%p;]><a/>", Limits{}, Entities},
		"behind a comment": {"<!DOCTYPE a <!-- > --> [<!ENTITY b 'c'>]><a>&b;</a>", Limits{}, Entities},
		"in UTF-16":        {utf16le("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), Limits{}, Entities},
		"a file":           {"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", Limits{}, ExternalEntities},
		"a DTD":            {"<!DOCTYPE a PUBLIC \"x\" \"http://e/x\"><a/>", Limits{}, ExternalEntities},
	}
	for name, tt := range tests {
		_, err := Parse([]byte(tt.in), tt.limits)
		var le *LimitError
		if !errors.As(err, &le) || le.What != tt.what {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func utf16le(s string) string {
	out := "\xFF\xFE"
	for _, r := range s {
		out += string([]byte{byte(r), 0})
	}
	return out
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("\xFF\xFE<\x00a\x00/\x00>\x00"))
	f.Add([]byte("<?xml version='1.0' encoding='iso-8859-1'?><a b='\xE9'>&#233;</a>"))
	f.Add([]byte("<a xmlns='x'><b xmlns=''/></a>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(bytes.Clone(b), Limits{})
		if err != nil {
			return
		}
		if !bytes.Equal(d.Bytes(), b) {
			t.Fatalf("untouched document changed: %q to %q", b, d.Bytes())
		}
		n := 0
		var all []*Node
		for x := range d.Root().Descendants() {
			all = append(all, x)
			for range x.Attrs() {
				n++
			}
			x.Text()
		}
		last := all[len(all)-1]
		last.SetAttr("u:new", "k", "<&\"'\n", "k")
		if v, _ := last.Attr("u:new", "k"); v != "<&\"'\n" {
			t.Fatalf("attribute reads %q", v)
		}
		if _, err := last.Append(Fragment{Name: Name{"u:other", "e"}, Text: "é<"}); err != nil {
			t.Fatal(err)
		}
		again, err := Parse(d.Bytes(), Limits{})
		if err != nil {
			t.Fatalf("edited document does not parse: %v\n%q", err, d.Bytes())
		}
		m := 0
		for range again.Root().Descendants() {
			m++
		}
		if m != len(all)+1 {
			t.Fatalf("%d elements became %d:\n%q", len(all), m, d.Bytes())
		}
	})
}
