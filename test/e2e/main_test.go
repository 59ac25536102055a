package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	flagFor     = flag.Duration("e2e.for", 20*time.Second, "how long TestLinearizable disturbs its cluster")
	flagKills   = flag.Int("e2e.kills", 3, "leaders that TestLeaderKillGap kills")
	flagLike    = flag.Duration("e2e.like", 8*time.Second, "how long TestLikeRedisThroughFailovers compares")
	flagSeed    = flag.Uint64("e2e.seed", 0, "seed of the fault schedules; 0 takes one from the clock and prints it")
	flagMembers = flag.Int("e2e.members", 100_000, "members of TestLargeSortedSet's set")
	flagRace    = flag.Bool("e2e.race", raceEnabled, "build the nodes with the race detector; default as the test itself")
	flagBinary  = flag.String("e2e.binary", "", "test this binary instead of building one")
	flagNpm     = flag.Bool("e2e.npm", os.Getenv("CI") != "", "fetch the packages that clients in JavaScript need; default in CI. Otherwise those installed beside them in test/clients are used")
	flagAsynq   = flag.Int("e2e.asynq", 0, "tasks of TestAsynq, which fetches asynq; 0: a few, if it was fetched before")
	flagKeep    = flag.Bool("e2e.keep", false, "keep the nodes' directories and logs")
)

// program is the binary under test.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "coterie-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a directory for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = *flagBinary
	if program == "" {
		program = filepath.Join(dir, "coterie")
		if err := build(program); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

func build(path string) error {
	args := []string{"build", "-o", path}
	if *flagRace {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "coterie/cmd/coterie")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return nil
}

// slow is how much longer things may take on this build.
func slow() time.Duration {
	if *flagRace {
		return 5
	}
	return 1
}
