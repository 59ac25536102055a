package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"coterie/internal/workload"
)

// archive keeps histories: all of them in a directory that somebody named, or
// those with a violation.
type archive struct {
	dir  string
	all  bool
	seed uint64
}

// header is the first line of a history's file.
type header struct {
	Version  int    `json:"version"`
	Workload string `json:"workload"`
	Chapter  int    `json:"chapter"`
	Seed     uint64 `json:"seed"`
	Slack    int64  `json:"slack_micros"`
	Quiet    bool   `json:"quiet"`
}

const archiveVersion = 1

// keep writes a history to its file, if it is to be kept.
func (a *archive) keep(ch *chapter, h *workload.History, broken bool) (path string, err error) {
	if !a.all && !broken {
		return "", nil
	}
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(a.dir, fmt.Sprintf("%s-%d.jsonl", ch.kind.Name, ch.number))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f)
	b, err := json.Marshal(header{archiveVersion, ch.kind.Name, ch.number, a.seed, h.Slack, h.Quiet})
	if err == nil {
		_, err = w.Write(append(b, '\n'))
	}
	var line []byte
	for _, o := range h.Ops {
		line = workload.AppendOp(line[:0], o)
		if _, werr := w.Write(line); werr != nil {
			err = werr
			break
		}
	}
	return path, errors.Join(err, w.Flush(), f.Close())
}

// maxLine bounds a line of a history's file.
const maxLine = 16 << 20

// Check judges a kept history again.
func Check(in io.Reader) (*workload.Report, error) {
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, maxLine)
	if !sc.Scan() {
		return nil, errors.Join(errors.New("the file is empty"), sc.Err())
	}
	var hd header
	if err := json.Unmarshal(sc.Bytes(), &hd); err != nil || hd.Version != archiveVersion {
		return nil, errors.New("the file is no history of this version: its first line should say which workload it is of")
	}
	k, ok := workload.Find(hd.Workload)
	if !ok {
		return nil, fmt.Errorf("there is no workload %q; the file is of another version", hd.Workload)
	}
	h := &workload.History{Slack: hd.Slack, Quiet: hd.Quiet}
	for n := 2; sc.Scan(); n++ {
		o, err := workload.ParseOp(sc.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		h.Ops = append(h.Ops, o)
	}
	return k.Judge(h), sc.Err()
}
