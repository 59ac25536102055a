//go:build !unix

package datatype_test

import "time"

var processStart = time.Now()

func cpuTime() time.Duration { return time.Since(processStart) }
