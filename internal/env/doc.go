// Package env is the real environment where it differs from what the
// standard library gives: for now, files whose quick system calls do not go
// through the scheduler.
package env
