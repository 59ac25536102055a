package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cpuSample is the processor time of the generator and of other processes, up
// to a moment.
type cpuSample []ProcessCPU

// readCPU looks at this process, and at the given ones in /proc.
func readCPU(pids []int) cpuSample {
	self := ProcessCPU{PID: os.Getpid(), Name: "this generator"}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		self.Error = err.Error()
	}
	self.Seconds = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
	s := cpuSample{self}
	for _, pid := range pids {
		p := ProcessCPU{PID: pid}
		var err error
		if p.Name, p.Seconds, err = processCPU(pid); err != nil {
			p.Error = err.Error()
		}
		s = append(s, p)
	}
	return s
}

// until is what was used between two samples of the same processes.
func (s cpuSample) until(end cpuSample, ops int64) []ProcessCPU {
	used := make([]ProcessCPU, len(end))
	for i, p := range end {
		if p.Error == "" {
			p.Error = s[i].Error
		}
		p.Seconds = max(0, p.Seconds-s[i].Seconds)
		p.MicrosPerOp = ratio(p.Seconds*1e6, float64(ops))
		used[i] = p
	}
	return used
}

// ticksPerSecond is the unit of times in /proc/<pid>/stat, the same on every
// Linux.
const ticksPerSecond = 100

// processCPU reads a process's name, and its user and system time in seconds.
func processCPU(pid int) (name string, seconds float64, err error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	text, err := os.ReadFile(file)
	if err != nil {
		return "", 0, err
	}
	// "pid (name) state …": the name may hold anything, parentheses too.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return "", 0, fmt.Errorf("%s: not understood", file)
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 13 {
		return "", 0, fmt.Errorf("%s: %d fields", file, len(fields))
	}
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return "", 0, fmt.Errorf("%s: %w", file, err)
		}
		ticks += n
	}
	return string(text[open+1 : end]), float64(ticks) / ticksPerSecond, nil
}
