package demo

import "syscall"

// childAttributes gives a child a process group of its own, so that the
// terminal's Ctrl-C reaches the demo alone, and lets it die with the demo.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
