//go:build !unix

package redisfront

// cpuSeconds is the processor time this process has used, where the platform
// tells it the Unix way.
func cpuSeconds() (user, sys float64) { return 0, 0 }
