//go:build unix && !linux

package demo

import "syscall"

// childAttributes gives a child a process group of its own, so that the
// terminal's Ctrl-C reaches the demo alone.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
