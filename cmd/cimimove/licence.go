package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
)

// licences refuses a package whose licences nobody has accepted (DSP0243 9.6).
// At a terminal they are shown and asked about; --yes is no acceptance.
func (c *call) licences(env *ovf.Envelope) error {
	if c.Bool("accept-eulas") {
		return nil
	}
	for content := range env.Contents() {
		for _, e := range content.Eulas() {
			if c.canAsk() {
				fmt.Fprintf(c.err, "Licence agreement of %s:\n\n%s\n\n", content.Title(), strings.TrimSpace(e.License))
				yes, err := ask(c.in, c.err, "Do you accept it? [y/N] ")
				if err != nil {
					return err
				}
				if yes {
					continue
				}
			}
			return &migrate.Error{Side: migrate.PackageSide, Object: content.ID, Class: migrate.ClassRefused,
				Err:    fmt.Errorf("the package has a licence agreement that was not accepted (MAP-EULA-001)"),
				Advice: "cimimove inspect --output json shows it; --accept-eulas accepts it"}
		}
	}
	return nil
}

// canAsk tells whether a person reads standard error and answers on standard input.
func (c *call) canAsk() bool {
	in, ok := c.in.(*interruptibleReader)
	if !ok || c.Args().First() == "-" {
		return false
	}
	f, ok := in.r.(*os.File)
	_, reads := terminal(c.err)
	return ok && reads && term.IsTerminal(int(f.Fd()))
}

// ask puts a question to which only y or yes, in any case, is yes.
func ask(in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprint(out, question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}
