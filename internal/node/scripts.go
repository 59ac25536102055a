package node

import (
	"context"
	"log/slog"
	"time"

	"coterie/internal/catalog"
	"coterie/internal/datatype/scripting"
	"coterie/internal/partition"
	"coterie/internal/redisfront"
)

// Catalog implements redisfront.Router.
func (n *Node) Catalog(ctx context.Context, cmd string, arg []byte) ([]byte, error) {
	return n.callCatalog(ctx, cmd, arg)
}

// loadScripts reads the cluster's scripts after they changed. Compiling them is not the
// loop's work.
func (n *Node) loadScripts(r *partition.Replica) {
	version, flushed := n.view.Meta.ScriptsVersion, n.view.Meta.ScriptsFlushed
	if version == n.scriptsVersion {
		return
	}
	s, err := catalog.LoadScripts(r.Overlay())
	if err != nil {
		n.fail(err)
		return
	}
	n.scriptsVersion = version
	codes := make([]string, len(s.Libraries))
	for i, l := range s.Libraries {
		codes[i] = string(l.Code)
	}
	n.background.Add(1)
	go func() {
		defer n.background.Done()
		n.scripts.Update(version, flushed, s.Bodies, codes)
	}()
}

// leaderControl is what scripts reach that a leader runs.
type leaderControl struct {
	log     *slog.Logger
	started time.Time
}

var _ scripting.Control = leaderControl{}

// Running implements scripting.Control. Leaders end scripts by their steps.
func (leaderControl) Running() string { return "" }

// Seconds implements scripting.Control.
func (c leaderControl) Seconds() float64 { return time.Since(c.started).Seconds() }

// Log implements scripting.Control.
func (c leaderControl) Log(level int, text string) { redisfront.LogScript(c.log, level, text) }
