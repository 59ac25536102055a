// Package hash is the hash type: a map from fields to values under one key.
//
// A small hash is kept in its record, in the order in which fields came:
//
//	0x00 | fields:u8 | { len:uvarint field  len:uvarint value } …
//
// A larger one has an element per field, under slot|0x02|object|hash48|field,
// whose value is a byte of flags, zero so far, and the field's value; the
// record then names the object and counts its fields. A hash that has become
// large stays so until it is deleted. So no command costs more than its answer
// and a constant, or a logarithm, whatever the hash's size.
package hash
