// Package generic is the commands that work on keys of any type: deletion,
// expiry, renaming, copying, scanning, and the commands about a whole
// namespace. The latter run once in each partition; the front puts the
// partitions' replies together.
package generic
