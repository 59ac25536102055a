package e2e

import "syscall"

// attributes let a node die with the test, however that ends, and keep the
// terminal's Ctrl-C from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
