package version

import (
	"runtime/debug"
	"testing"
)

func TestFrom(t *testing.T) {
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
		{Key: "vcs.time", Value: "2025-01-02T03:04:05Z"},
		{Key: "vcs.modified", Value: "true"},
	}
	for _, tc := range []struct {
		name, release, module, want string
		settings                    []debug.BuildSetting
	}{
		{"release flag wins", "1.2.3", "v9.9.9", "1.2.3", vcs},
		{"tagged module", "", "v1.4.0", "1.4.0", vcs},
		{"pseudo-version", "", "v0.0.0-20250102030405-0123456789ab+dirty", "dev-0123456789ab", vcs},
		{"no version control", "", "(devel)", "dev", nil},
	} {
		bi := &debug.BuildInfo{Settings: tc.settings}
		bi.Main.Version = tc.module
		got := from(tc.release, bi)
		if got.Version != tc.want {
			t.Errorf("%s: version %q, want %q", tc.name, got.Version, tc.want)
		}
		if tc.settings != nil && (!got.Modified || got.Time == "" || len(got.Commit) != 40) {
			t.Errorf("%s: %+v lacks what version control said", tc.name, got)
		}
	}
	if Current().Go == "" {
		t.Error("the running binary's Go version is empty")
	}
}
