//go:build unix

package node

import "syscall"

// errReadOnlyFS is what writing to a read-only file system gives.
var errReadOnlyFS error = syscall.EROFS
