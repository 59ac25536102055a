//go:build !linux

package chaos

import "errors"

func mountSmall(string, int) error {
	return errors.New("small file systems can be mounted on Linux only")
}

func unmount(string) {}
