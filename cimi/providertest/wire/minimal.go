package wire

import (
	"encoding/json"
	"strings"
	"time"
)

// Minimal is the minimal conformance clause 7.1 of DSP0263, from the entry
// point on, following hrefs. The cloud must have no images, configurations and
// machines yet.
func (c *Cloud) Minimal() {
	c.Helper()
	t := c.T
	get := func(url string) map[string]any {
		t.Helper()
		r := c.Do("GET", url, "", "Accept", "application/json")
		c.Want(r, 200)
		if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Content-Length") == "" {
			t.Errorf("%s: headers %v (4.2.1.2)", url, r.Header)
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(r.Text), &v); err != nil {
			t.Fatal(err)
		}
		if uri, _ := v["resourceURI"].(string); !strings.HasPrefix(uri, "http://schemas.dmtf.org/cimi/2/") {
			t.Errorf("%s: resourceURI %q (4.1.4)", url, uri)
		}
		return v
	}
	href := func(v map[string]any, name string) string {
		t.Helper()
		ref, _ := v[name].(map[string]any)
		s, _ := ref["href"].(string)
		if s == "" {
			t.Fatalf("no %s in %v", name, v)
		}
		return s
	}
	operation := func(v map[string]any, rel string) string {
		t.Helper()
		ops, _ := v["operations"].([]any)
		for _, o := range ops {
			if m := o.(map[string]any); m["rel"] == rel {
				return m["href"].(string)
			}
		}
		t.Fatalf("no operation %s in %v", rel, v)
		return ""
	}
	has := func(v map[string]any, names ...string) {
		t.Helper()
		for _, n := range names {
			if v[n] == nil {
				t.Errorf("%v lacks %s", v["resourceURI"], n)
			}
		}
	}

	// succeed waits for the Job of a change.
	succeed := func(r Reply) {
		t.Helper()
		uri := r.Header.Get("CIMI-Job-URI")
		if uri == "" {
			t.Fatalf("%s %s: %d without a CIMI-Job-URI: %s", r.Request.Method, r.Request.URL, r.StatusCode, r.Text)
		}
		for until := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			switch j := get(uri); {
			case j["state"] == "SUCCESS":
				return
			case j["state"] == "FAILED", j["state"] == "STOPPED", time.Now().After(until):
				t.Fatalf("%s %s: its Job is %v", r.Request.Method, r.Request.URL, j)
			}
		}
	}

	cep := get(c.URL + "/cloudEntryPoint")
	has(cep, "id", "baseURI", "resourceMetadata", "machines", "machineImages", "machineConfigs")

	// ResourceMetadata, found from the entry point.
	described := map[string]bool{}
	for _, x := range get(href(cep, "resourceMetadata"))["resourceMetadatas"].([]any) {
		m := get(x.(map[string]any)["id"].(string))
		has(m, "typeURI", "name", "attributes")
		described[m["name"].(string)] = true
		for _, a := range m["attributes"].([]any) {
			for _, field := range []string{"name", "providerMandatory", "mutable", "consumerWritable"} {
				if a.(map[string]any)[field] == nil {
					t.Errorf("metadata of %v: attribute %v lacks %s", m["name"], a, field)
				}
			}
		}
	}
	for _, n := range []string{"Machine", "MachineImage", "MachineConfiguration"} {
		if !described[n] {
			t.Errorf("no ResourceMetadata of %s", n)
		}
	}

	// Create, read and delete: images, configurations, machines by value.
	config := `{"cpu":2,"memory":2048,"cpuArch":"x86_64","cpuSpeed":2000,"disks":[{"capacity":1000,"format":"ext4"}]`
	for _, x := range []struct {
		collection, group, typeName, body string
		attributes                        []string
	}{
		{"machineImages", "machineImages", "MachineImage", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineImage","name":"n","description":"d","type":"IMAGE","imageLocation":"http://images.example/1"}`,
			[]string{"imageLocation"}},
		{"machineConfigs", "machineConfigurations", "MachineConfiguration", strings.Replace(config, "{", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineConfiguration","name":"n","description":"d",`, 1) + "}",
			[]string{"cpu", "memory", "disks", "cpuArch", "cpuSpeed"}},
		{"machines", "machines", "Machine", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCreate","name":"n","description":"d","machineTemplate":{"machineConfig":` + config + `}}}`,
			[]string{"cpu", "memory", "disks", "cpuArch", "cpuSpeed", "state"}},
	} {
		col := get(href(cep, x.collection))
		has(col, "id", "count")
		r := c.Do("POST", operation(col, "add"), x.body, "Content-Type", "application/json")
		if r.StatusCode != 201 && r.StatusCode != 202 || r.Header.Get("Location") == "" {
			t.Fatalf("create in %s: %d %v %s", x.collection, r.StatusCode, r.Header, r.Text)
		}
		succeed(r)
		made := get(r.Header.Get("Location"))
		has(made, append(x.attributes, "id", "name", "description")...)
		if uri := made["resourceURI"]; uri != "http://schemas.dmtf.org/cimi/2/"+x.typeName {
			t.Errorf("%s: %v", x.collection, uri)
		}
		if d, ok := made["disks"].(map[string]any); ok && get(d["href"].(string))["count"] != 1.0 {
			t.Errorf("the disks of the machine: %v", d)
		}
		if after := get(href(cep, x.collection)); after["count"] != 1.0 || len(after[x.group].([]any)) != 1 {
			t.Errorf("%s holds %v", x.collection, after)
		}
		if r = c.Do("DELETE", operation(made, "delete"), ""); r.StatusCode != 200 && r.StatusCode != 202 {
			t.Fatalf("delete in %s: %d", x.collection, r.StatusCode)
		}
		succeed(r)
		c.Want(c.Do("GET", made["id"].(string), ""), 404, `"http://schemas.dmtf.org/cimi/2/Job"`, `"state": "FAILED"`)
	}
}
