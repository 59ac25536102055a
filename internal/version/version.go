// Package version says which build of Coterie this is: from the linker flag
// that a release sets, else from what the Go tool records in the binary. The
// command line, the status page and INFO show it.
package version

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// release is set by a release build:
// -ldflags "-X coterie/internal/version.release=1.2.3".
var release string

// Info describes one build.
type Info struct {
	Version  string `json:"version"`            // "1.2.3", or "dev-1a2b3c4d5e6f" of an untagged build
	Commit   string `json:"commit,omitempty"`   // the full revision
	Time     string `json:"time,omitempty"`     // of the revision, RFC 3339
	Modified bool   `json:"modified,omitempty"` // built with uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"` // "linux/amd64"
}

// Current describes the running binary.
func Current() Info {
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		bi = &debug.BuildInfo{}
	}
	return from(release, bi)
}

func from(release string, bi *debug.BuildInfo) Info {
	info := Info{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	for _, s := range bi.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Commit = s.Value
		case "vcs.time":
			info.Time = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	if info.Version != "" {
		return info
	}
	// A module version such as v1.2.3 is worth showing; the pseudo-version
	// that the Go tool makes up from a commit says less than the commit.
	if v := bi.Main.Version; strings.HasPrefix(v, "v") && !strings.Contains(v, "-0.") && !strings.HasPrefix(v, "v0.0.0-") {
		info.Version = strings.TrimPrefix(v, "v")
		return info
	}
	info.Version = "dev"
	if len(info.Commit) >= 12 {
		info.Version += "-" + info.Commit[:12]
	}
	return info
}
