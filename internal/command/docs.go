package command

import (
	"strings"

	"coterie/internal/resp"
)

// docs answers COMMAND DOCS: a map from names to what people are to be told.
// Names that there are not are left out.
func (t *Table) docs(w *resp.Writer, names [][]byte) {
	rows := t.top
	if len(names) > 0 {
		rows = nil
		for _, name := range names {
			if s := t.find(name); s != nil {
				rows = append(rows, s)
			}
		}
	}
	w.Map(len(rows))
	for _, s := range rows {
		w.BulkString(s.Full)
		doc(w, s)
	}
}

func doc(w *resp.Writer, s *Spec) {
	n := 4
	if len(s.Args) > 0 {
		n++
	}
	if len(s.Sub) > 0 {
		n++
	}
	w.Map(n)
	for _, pair := range [][2]string{{"summary", s.Summary}, {"since", s.Since}, {"group", s.Group}, {"complexity", s.Complexity}} {
		w.BulkString(pair[0])
		w.BulkString(pair[1])
	}
	if len(s.Args) > 0 {
		w.BulkString("arguments")
		docArgs(w, s.Args, new(int))
	}
	if len(s.Sub) > 0 {
		w.BulkString("subcommands")
		w.Map(len(s.Sub))
		for i := range s.Sub {
			w.BulkString(s.Sub[i].Full)
			doc(w, &s.Sub[i])
		}
	}
}

// docArgs writes arguments; key counts the arguments that are keys, by which
// each names its key spec.
func docArgs(w *resp.Writer, args []Arg, key *int) {
	w.Array(len(args))
	for _, a := range args {
		var flags []string
		if a.Optional {
			flags = append(flags, "optional")
		}
		if a.Multiple {
			flags = append(flags, "multiple")
		}
		n := 2
		for _, more := range []bool{len(a.Args) == 0, a.Type == "key", a.Token != "", len(flags) > 0, len(a.Args) > 0} {
			if more {
				n++
			}
		}
		w.Map(n)
		w.BulkString("name")
		w.BulkString(a.Name)
		w.BulkString("type")
		w.BulkString(a.Type)
		if len(a.Args) == 0 {
			w.BulkString("display_text")
			w.BulkString(a.Name)
		}
		if a.Type == "key" {
			w.BulkString("key_spec_index")
			w.Int(int64(*key))
			*key++
		}
		if a.Token != "" {
			w.BulkString("token")
			w.BulkString(a.Token)
		}
		if len(flags) > 0 {
			w.BulkString("flags")
			w.Array(len(flags))
			for _, f := range flags {
				w.Simple(f)
			}
		}
		if len(a.Args) > 0 {
			w.BulkString("arguments")
			docArgs(w, a.Args, key)
		}
	}
}

// usage is a command's name and arguments as one line for people.
func usage(s *Spec) string {
	name := s.Name
	parts := []string{strings.ToUpper(name)}
	for _, a := range s.Args {
		parts = append(parts, a.usage())
	}
	return strings.Join(parts, " ")
}

func (a Arg) usage() string {
	text := a.Name
	if len(a.Args) > 0 {
		var parts []string
		for _, sub := range a.Args {
			parts = append(parts, sub.usage())
		}
		sep := " "
		if a.Type == "oneof" {
			sep = "|"
		}
		text = strings.Join(parts, sep)
	}
	switch {
	case a.Type == "pure-token":
		text = a.Token
	case a.Token != "":
		text = a.Token + " " + text
	}
	if a.Multiple {
		text += " [" + text + " ...]"
	}
	if a.Optional {
		text = "[" + text + "]"
	}
	return text
}
