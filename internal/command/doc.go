// Package command is the command table: every command as one row of data
// ([Spec]), how a row is found and its arguments are checked ([Table]), how an
// evaluated command is run over a transaction ([Evaluator]), and what COMMAND
// tells about all of them. It does no I/O. A command that panics is answered with an
// error, and what it wrote is taken back (fault.go).
//
// The rows come from the data types and from the fronts; the composition root
// joins them into one Table. Texts of errors are Redis 7.2's, because clients
// compare them.
package command
