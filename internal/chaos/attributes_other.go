//go:build unix && !linux

package chaos

import "syscall"

// childAttributes gives a child a process group of its own, so that the
// terminal's Ctrl-C reaches this program alone.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
