package chaos

import (
	"fmt"
	"os"
	"syscall"
)

// mountSmall puts a file system of a fixed size under a directory. Only root
// can.
func mountSmall(dir string, bytes int) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("mounting a small file system needs root")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
}

func unmount(dir string) { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }
