package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// MaxFileSize bounds a configuration file, in bytes.
const MaxFileSize = 1 << 20

// Layer is one of the places a value can come from. A later one beats an
// earlier one.
type Layer uint8

// The layers, weakest first.
const (
	FromDefault Layer = iota
	FromFile
	FromEnv
	FromFlag
)

// Origin says where a value came from.
type Origin struct {
	Layer Layer
	Name  string // the flag, the variable or the file
	Line  int    // in the file
}

func (o Origin) String() string {
	switch o.Layer {
	case FromFlag:
		return "flag " + o.Name
	case FromEnv:
		return "env " + o.Name
	case FromFile:
		return fmt.Sprintf("file %s:%d", o.Name, o.Line)
	}
	return "default"
}

// Sources is where Load looks.
type Sources struct {
	// Flags holds the text of each option given on the command line, by
	// option name. "config" names the file.
	Flags map[string]string
	// Environ holds NAME=value strings, as os.Environ returns them.
	Environ []string
}

// Settings is a configuration and where each of its values came from.
type Settings struct {
	Node Node
	File string // the configuration file that was read, or empty
	// Warnings are lines about what was found and not used, such as an
	// environment variable that is nearly an option's.
	Warnings []string

	origins map[string]Origin
}

// Origin says where an option's value came from.
func (s *Settings) Origin(name string) Origin { return s.origins[name] }

// Load gathers a configuration. It reads every value (sizes, durations, …)
// and refuses what cannot be read; whether the values make sense together is
// for Validate.
func Load(src Sources) (*Settings, error) {
	s := &Settings{origins: make(map[string]Origin)}
	for _, o := range Options() {
		if o.Default == "" {
			continue
		}
		if err := o.set(&s.Node, o.Default); err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", o.Name, err))
		}
	}
	env := environment(src.Environ)
	s.File = env[ConfigOption.Env()]
	if path, ok := src.Flags[ConfigOption.Name]; ok {
		s.File = path
	}
	if s.File != "" {
		if err := s.readFile(s.File); err != nil {
			return nil, err
		}
	}
	for _, o := range Options() {
		// An empty variable counts as unset: that is how one is blanked in
		// most places that set environments.
		if text := env[o.Env()]; text != "" {
			if err := s.set(o, text, Origin{Layer: FromEnv, Name: o.Env()}); err != nil {
				return nil, err
			}
		}
		if text, ok := src.Flags[o.Name]; ok {
			if err := s.set(o, text, Origin{Layer: FromFlag, Name: "--" + o.Name}); err != nil {
				return nil, err
			}
		}
	}
	s.Warnings = strayVariables(env)
	return s, nil
}

func (s *Settings) set(o Option, text string, from Origin) error {
	if err := o.set(&s.Node, text); err != nil {
		cause, next, ok := strings.Cut(err.Error(), "; ")
		if !ok {
			next = "see `coterie start --help`"
			if o.Kind == Choice {
				next = "choose one of them"
			}
		}
		return &Error{Cause: fmt.Sprintf("%s %q (%s) is %s", o.Name, text, from, cause), Next: next}
	}
	s.origins[o.Name] = from
	return nil
}

func environment(environ []string) map[string]string {
	env := make(map[string]string)
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, "COTERIE_") {
			env[name] = value
		}
	}
	return env
}

// strayVariables warns of variables that are nearly, but not, an option's.
// Others that begin with COTERIE_ are somebody else's business: orchestrators
// set such names for a service called coterie.
func strayVariables(env map[string]string) []string {
	var names []string
	for _, o := range append(Options(), ConfigOption) {
		names = append(names, o.Env())
	}
	var warnings []string
	for name := range env {
		if slices.Contains(names, name) {
			continue
		}
		if near, distance := Nearest(name, names); distance <= 2 {
			warnings = append(warnings, fmt.Sprintf("environment variable %s is not an option and was not used; did you mean %s?", name, near))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// readFile takes the values of a YAML file: one mapping from option names to
// scalars, or to a list of scalars for a List.
func (s *Settings) readFile(path string) error {
	data, err := readBounded(path)
	if err != nil {
		return &Error{
			Cause: fmt.Sprintf("cannot read the configuration file %s: %v", path, plain(err)),
			Next:  "give the path of a readable YAML file with --config or COTERIE_CONFIG",
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // nothing but comments
		}
		return &Error{
			Cause: fmt.Sprintf("%s is not YAML: %s", path, strings.TrimPrefix(oneLine(err.Error()), "yaml: ")),
			Next:  "write one `name: value` a line",
		}
	}
	if dec.Decode(new(yaml.Node)) == nil {
		return &Error{Cause: path + " holds more than one YAML document", Next: "keep one"}
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return &Error{Cause: fmt.Sprintf("%s:%d is not a list of settings", path, root.Line), Next: "write one `name: value` a line"}
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if err := s.fileEntry(path, root.Content[i], root.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) fileEntry(path string, key, value *yaml.Node) error {
	at := Origin{Layer: FromFile, Name: path, Line: key.Line}
	o, ok := find(key.Value)
	if !ok {
		return unknownKey(at, key.Value)
	}
	if _, twice := s.origins[o.Name]; twice {
		return &Error{Cause: fmt.Sprintf("%s:%d sets %s a second time", path, key.Line, o.Name), Next: "remove one of the two"}
	}
	bad := &Error{
		Cause: fmt.Sprintf("%s:%d: %s takes one value", path, key.Line, o.Name),
		Next:  "write it as `" + o.Name + ": value`",
	}
	var text string
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
		return nil // an empty value leaves the default
	case value.Kind == yaml.ScalarNode:
		text = value.Value
		// YAML 1.1 readers, and people, take a bare "off" for false.
		if o.Kind == Address && value.Tag == "!!bool" {
			text = Off
		}
	case value.Kind == yaml.SequenceNode && o.Kind == List:
		var items []string
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				return bad
			}
			items = append(items, item.Value)
		}
		text = strings.Join(items, ",")
	default:
		return bad
	}
	return s.set(o, text, at)
}

func unknownKey(at Origin, key string) error {
	var names []string
	for _, o := range Options() {
		names = append(names, o.Name)
	}
	next := "`coterie config show` lists the settings"
	// "max_value_size" and "maxValueSize" are the usual ways to miss.
	if near, distance := Nearest(strings.ReplaceAll(strings.ToLower(key), "_", "-"), names); distance <= 3 {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	return &Error{Cause: fmt.Sprintf("%s:%d: there is no setting %q", at.Name, at.Line, key), Next: next}
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err == nil && len(data) > MaxFileSize {
		err = fmt.Errorf("larger than %s", Size(MaxFileSize))
	}
	return data, err
}

// plain drops the operation and path that os puts before a cause.
func plain(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Nearest finds the name that needs the fewest changed letters to become
// want, and how many.
func Nearest(want string, names []string) (name string, distance int) {
	distance = 1 << 30
	for _, n := range names {
		if d := editDistance(want, n); d < distance {
			name, distance = n, d
		}
	}
	return name, distance
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
