package demo

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// Killing the demo itself takes its nodes along.
func TestNodesDieWithTheDemo(t *testing.T) {
	out := &screen{}
	demo := exec.Command(os.Args[0], "demo")
	demo.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	demo.Stdout, demo.Stderr = out, out
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	text := out.wait(t, `(?s).*Ctrl-C stops`)[0]
	if err := demo.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = demo.Wait()
	nodes := regexp.MustCompile(`(?m)^(\d) +(\d+) +127`).FindAllStringSubmatch(text, -1)
	if len(nodes) != 3 {
		t.Fatalf("no three nodes in:\n%s", text)
	}
	for _, m := range nodes {
		pid, _ := strconv.Atoi(m[2])
		for begun := time.Now(); running(pid); time.Sleep(5 * time.Millisecond) {
			if time.Since(begun) > 5*time.Second {
				t.Fatalf("process %d outlives the demo", pid)
			}
		}
	}
}
