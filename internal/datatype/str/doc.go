// Package str is the string type: values that are their bytes. A record's body
// is the string itself; numbers are kept as their decimal text.
//
// It evaluates commands over a keyspace and knows nothing of connections or
// partitions. The command table calls it.
package str
