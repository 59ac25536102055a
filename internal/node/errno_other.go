//go:build !unix

package node

import "io/fs"

var errReadOnlyFS = fs.ErrPermission
