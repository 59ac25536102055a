package catalog

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"coterie/internal/keys"
	"coterie/internal/kv"
)

// Scripts and libraries of functions that belong to the whole cluster. They are kept
// beside the other records and not read with them: a node reads them when their version
// has changed.

// Names of their commands. What changes something replies with the version since which
// that holds.
const (
	CmdScriptsVersion = "catalog.scripts"      // → the version
	CmdScriptLoad     = "catalog.script.load"  // body, not JSON → version
	CmdScriptFlush    = "catalog.script.flush" // → version
	CmdLibraries      = "catalog.libraries"    // LibraryChange → version
)

// Bounds of what the catalog keeps.
const (
	MaxScriptBytes  = 1 << 20  // of one script or library
	MaxScripts      = 4096     // of each kind
	MaxScriptsBytes = 16 << 20 // of each kind, together
)

// Library is a library of functions.
type Library struct {
	Name      string   `json:"name"`
	Functions []string `json:"functions"`
	Code      []byte   `json:"code"`
}

// LibraryChange changes the libraries: first Flush or Delete, then Put.
type LibraryChange struct {
	Flush   bool      `json:"flush,omitempty"`
	Delete  string    `json:"delete,omitempty"`
	Put     []Library `json:"put,omitempty"`
	Replace bool      `json:"replace,omitempty"` // what has the same name gives way
	// Restore words errors as FUNCTION RESTORE does.
	Restore bool `json:"restore,omitempty"`
}

// Scripts are the scripts and libraries as read at one point.
type Scripts struct {
	Bodies    []string
	Libraries []Library
}

// errNoLibrary is worded as in Redis, as are the errors of changeLibraries.
const errNoLibrary = "Library not found"

const (
	kindLibrary = 'f'
	kindScript  = 's'
)

// digestKey is the key of what has no number: by the beginning of its digest.
func digestKey(kind byte, text string) []byte {
	sum := sha1.Sum([]byte(text))
	return key(kind, binary.BigEndian.Uint64(sum[:]))
}

// each visits the records of a kind.
func each(r kv.Reader, kind byte, visit func(key, value []byte) error) error {
	lower, _ := keys.CatalogBounds()
	from, to := append(lower[:len(lower):len(lower)], kind), append(lower[:len(lower):len(lower)], kind+1)
	it := r.Iter(from, to)
	defer it.Close()
	for it.Next() {
		if err := visit(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return r.Err()
}

// LoadScripts reads all scripts and libraries.
func LoadScripts(r kv.Reader) (*Scripts, error) {
	s := &Scripts{}
	err := each(r, kindScript, func(_, body []byte) error {
		s.Bodies = append(s.Bodies, string(body))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.Libraries, err = loadLibraries(r)
	return s, err
}

func loadLibraries(r kv.Reader) (list []Library, err error) {
	err = each(r, kindLibrary, func(k, v []byte) error {
		var l Library
		if err := json.Unmarshal(v, &l); err != nil {
			return fmt.Errorf("catalog: record %x: %w", k, err)
		}
		list = append(list, l)
		return nil
	})
	return list, err
}

// isScripts says whether a command is one of this file's.
func isScripts(cmd string) bool {
	return cmd == CmdScriptsVersion || cmd == CmdScriptLoad || cmd == CmdScriptFlush || cmd == CmdLibraries
}

// runScripts evaluates such a command.
func runScripts(txn kv.Txn, v *View, args [][]byte) (version uint64, err error) {
	cmd := string(args[0])
	if cmd == CmdScriptsVersion {
		return v.Meta.ScriptsVersion, nil
	}
	changed := true
	switch {
	case cmd == CmdScriptFlush:
		v.Meta.ScriptsFlushed++
		var old [][]byte
		err = each(txn, kindScript, func(k, _ []byte) error {
			old = append(old, append([]byte(nil), k...))
			return nil
		})
		for _, k := range old {
			txn.Delete(k)
		}
	case len(args) < 2:
		err = fmt.Errorf("catalog: %s needs an argument", cmd)
	case cmd == CmdScriptLoad:
		changed, err = loadScript(txn, args[1])
	default:
		err = changeLibraries(txn, args[1])
	}
	if err != nil {
		return 0, err
	}
	if changed {
		v.Meta.ScriptsVersion++
		put(txn, metaKey(), &v.Meta)
	}
	return v.Meta.ScriptsVersion, nil
}

// loadScript keeps a script, unless it is there.
func loadScript(txn kv.Txn, body []byte) (changed bool, err error) {
	if len(body) > MaxScriptBytes {
		return false, fmt.Errorf("a script of the cluster has at most %d bytes", MaxScriptBytes)
	}
	k := digestKey(kindScript, string(body))
	if _, ok := txn.Get(k); ok {
		return false, nil
	}
	n, size := 0, len(body)
	err = each(txn, kindScript, func(_, v []byte) error {
		n, size = n+1, size+len(v)
		return nil
	})
	if err != nil {
		return false, err
	}
	if n >= MaxScripts || size > MaxScriptsBytes {
		return false, fmt.Errorf("the cluster keeps at most %d scripts with %d bytes together; SCRIPT FLUSH makes room", MaxScripts, MaxScriptsBytes)
	}
	txn.Set(k, body)
	return true, nil
}

// changeLibraries changes the libraries, or says why that cannot be: then nothing has
// changed.
func changeLibraries(txn kv.Txn, arg []byte) error {
	var c LibraryChange
	if err := json.Unmarshal(arg, &c); err != nil {
		return fmt.Errorf("catalog: libraries: malformed request")
	}
	list, err := loadLibraries(txn)
	if err != nil {
		return err
	}
	have, gone := map[string]Library{}, map[string]bool{}
	for _, l := range list {
		have[l.Name] = l
		if c.Flush || l.Name == c.Delete {
			delete(have, l.Name)
			gone[l.Name] = true
		}
	}
	if c.Delete != "" && !gone[c.Delete] {
		return errors.New(errNoLibrary)
	}
	for _, l := range c.Put {
		if _, exists := have[l.Name]; exists && !c.Replace {
			format := "Library '%s' already exists"
			if c.Restore {
				format = "Library %s already exists"
			}
			return fmt.Errorf(format, l.Name)
		}
		delete(have, l.Name)
	}
	owner := map[string]string{}
	for _, l := range have {
		for _, f := range l.Functions {
			owner[strings.ToLower(f)] = l.Name
		}
	}
	for _, l := range c.Put {
		for _, f := range l.Functions {
			if owner[strings.ToLower(f)] != "" {
				return fmt.Errorf("%s %s already exists", "Function", f)
			}
			owner[strings.ToLower(f)] = l.Name
		}
		have[l.Name] = l
	}
	size := 0
	for _, l := range have {
		if size += len(l.Code); len(l.Code) > MaxScriptBytes {
			return fmt.Errorf("a library of the cluster has at most %d bytes", MaxScriptBytes)
		}
	}
	if len(have) > MaxScripts || size > MaxScriptsBytes {
		return fmt.Errorf("the cluster keeps at most %d libraries with %d bytes together", MaxScripts, MaxScriptsBytes)
	}
	for name := range gone {
		txn.Delete(digestKey(kindLibrary, name))
	}
	for _, l := range c.Put {
		put(txn, digestKey(kindLibrary, l.Name), &l)
	}
	return nil
}
