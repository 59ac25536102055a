package redisfront

import (
	"os"
	"strconv"
	"strings"
)

// residentBytes is the memory of this process that is in RAM; 0 where there
// is no /proc to say so.
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}
