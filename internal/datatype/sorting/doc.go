// Package sorting is SORT and SORT_RO: the members of a list, a set or a sorted
// set in order of themselves, or of what other keys have for them.
//
// Those other keys are named by patterns, and so not known before the command
// runs. A leader runs it as long as it has them all; otherwise it is evaluated at
// the gateway, for which all keys are within reach, and which asks for those of a
// pattern together. The command table calls the handlers.
package sorting
