package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"gopkg.in/yaml.v3"
)

// Shown is one setting as `coterie config show` prints it.
type Shown struct {
	Name  string `json:"name" yaml:"name"`
	Value string `json:"value" yaml:"value"`
	From  string `json:"from" yaml:"from"`
}

// List is every setting with its value and where it came from.
func (s *Settings) List() []Shown {
	var list []Shown
	for _, o := range Options() {
		list = append(list, Shown{Name: o.Name, Value: o.Text(&s.Node), From: s.origins[o.Name].String()})
	}
	return list
}

// Write prints the settings as "table", "json" or "yaml".
func (s *Settings) Write(w io.Writer, format string) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s.List())
	case "yaml":
		enc := yaml.NewEncoder(w)
		enc.SetIndent(2)
		if err := enc.Encode(s.List()); err != nil {
			return err
		}
		return enc.Close()
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "SETTING\tVALUE\tFROM")
	for _, e := range s.List() {
		if e.Value == "" {
			e.Value = "-"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", e.Name, e.Value, e.From)
	}
	return tw.Flush()
}

// WriteDocs prints the page docs/configuration.md.
func WriteDocs(w io.Writer) error {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, group := range Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| setting | default | values | meaning |\n|---|---|---|---|\n", group)
		for _, o := range Options() {
			if o.Group != group {
				continue
			}
			def := "–"
			if o.Default != "" {
				def = "`" + o.Default + "`"
			}
			values := o.Range()
			if values == "" {
				values = o.Kind.describe()
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.Name, def, values, o.Doc)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (k Kind) describe() string {
	switch k {
	case Path:
		return "a path"
	case Address:
		return "`HOST:PORT`"
	case List:
		return "`HOST:PORT`, several with commas between"
	case Switch:
		return "`true`, `false`"
	}
	return "text"
}

const docsHead = `# Configuration

<!-- Written by "coterie config docs" from the table in internal/config/options.go; a test compares. -->

Every setting can be given in three ways. The first of them that has it wins:

1. as a flag of ` + "`coterie start`" + `: ` + "`--max-value-size 16MiB`" + `
2. as an environment variable: ` + "`COTERIE_MAX_VALUE_SIZE=16MiB`" + ` (an empty one counts as not set)
3. in a YAML file named by ` + "`--config`" + ` or ` + "`COTERIE_CONFIG`" + `: ` + "`max-value-size: 16MiB`" + `

` + "`coterie config show`" + ` takes the same flags, variables and file, and prints each value with where it came from.
An unknown key in the file is an error.

Sizes are bytes, or a number with a unit: ` + "`KiB`, `MiB`, `GiB`, `TiB`" + ` (powers of 1024) or ` + "`KB`, `MB`, `GB`, `TB`" + ` (powers
of 1000). Durations have a unit: ` + "`500ms`, `5s`, `5m`, `1h30m`" + `. Addresses are ` + "`HOST:PORT`" + `; port 0 takes a free one.

` + "```yaml" + `
# node-2.yaml
data-dir: /var/lib/coterie
listen: 10.0.0.2:6379
peer-listen: 10.0.0.2:7379
http-listen: 127.0.0.1:8379
insecure: true
join: [10.0.0.1:7379, 10.0.0.3:7379]
zone: rack-b
` + "```" + `
`
