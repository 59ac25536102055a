// Package dump is DUMP and RESTORE: values of any type as payloads that Redis
// understands, and from there. The format is package rdb's; this one knows what
// the types make of it. The command table calls the rows' handlers.
package dump
