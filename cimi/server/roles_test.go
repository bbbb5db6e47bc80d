package server_test

import (
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/providertest/wire"
	"github.com/cimimove/cimimove/cimi/server"
)

// TestRoles: a reader reads, an operator changes, an administrator may touch records.
func TestRoles(t *testing.T) {
	c := serve(t, server.Options{Users: []server.User{{Name: "r", Token: "r", Role: server.Reader},
		{Name: "o", Token: "o", Role: server.Operator}, {Name: "a", Token: "a", Role: server.Administrator}}})
	as := func(who, method, path, body string) wire.Reply {
		return c.Do(method, path, body, "Authorization", "Bearer "+who)
	}
	config := `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineConfiguration","name":"x"}`
	c.Want(as("r", "POST", "/machineConfigs", config), 403)
	r := as("o", "POST", "/machineConfigs", config)
	c.Want(r, 201)
	id, job := r.Header.Get("Location"), r.Header.Get("CIMI-Job-URI")
	if r := as("r", "GET", id, ""); strings.Contains(r.Text, "operations") {
		t.Errorf("a reader is shown operations: %s", r.Text)
	}
	c.Want(as("o", "GET", id, ""), 200, `"rel": "delete"`)
	c.Want(as("r", "DELETE", id, ""), 403)
	c.Want(as("o", "DELETE", job, ""), 403, "may not change a Job")
	c.Want(as("o", "PUT", job+"?$select=name", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job","name":"x"}`), 403)
	if r := as("a", "DELETE", job, ""); r.StatusCode == 403 {
		t.Errorf("an administrator: %s", r.Text)
	}
	c.Want(as("o", "DELETE", id, ""), 200)
	c.Want(as("r", "GET", "/reach/aHR0cDovLzE5Mi4wLjIuMS8", ""), 403, "may not import")
	for _, content := range []string{"/exports/none.ova", "/volumes/none/blocks/sums/4096", "/volumeImages/none/content", "/machineImages/none/content", "/systemTemplates/none/package", "/cimi/1/machineImages/none/content"} {
		c.Want(as("r", "GET", content, ""), 403, "may not export")
		c.Want(as("r", "HEAD", content, ""), 403)
		c.Want(as("o", "GET", content, ""), 404)
	}
	c.Want(as("r", "GET", "/systems/none/descriptor", ""), 404)
}
