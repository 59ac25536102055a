// Package base holds the nouns every other package speaks of: ids, hash
// slots, spans of slots, and stamps. It does no I/O and imports nothing of
// Coterie.
package base
