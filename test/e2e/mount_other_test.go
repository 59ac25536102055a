//go:build !linux

package e2e

import "testing"

func mountTmpfs(t *testing.T, _ int) string      { t.Skip("only on Linux"); return "" }
func remountTmpfs(t *testing.T, _ string, _ int) { t.Skip("only on Linux") }
func readOnlyMount(t *testing.T)                 { t.Skip("only on Linux") }
func cpuTicks(testing.TB, int) int64             { return 0 }
func memory(testing.TB, int) (now, peak int64)   { return 0, 0 }
func osMeasures() bool                           { return false }

func resetPeak(int) {}
