//go:build !linux

package env

import "github.com/cockroachdb/pebble/v2/vfs"

// Direct returns fs: there is nothing to gain here.
func Direct(fs vfs.FS) vfs.FS { return fs }
