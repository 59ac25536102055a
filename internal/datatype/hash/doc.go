// Package hash is the hash type: a map from fields to values under one key,
// each of which may have a deadline of its own.
//
// A small hash is kept in its record, in the order in which fields came:
//
//	0x00 | fields:u8 | { len:uvarint field  len:uvarint value } …
//	0x04 | fields:u8 | { len:uvarint field  len:uvarint value  deadline:uvarint } …
//
// the latter when a field has a deadline; 0 is none. A larger one has an
// element per field, under slot|0x02|object|hash48|field, whose value is
//
//	0x00 | value
//	0x01 | deadline:u64 | value
//
// and the record names the object and counts its fields. Once a field of a
// large hash has had a deadline, the object also has a tree of deadlines, keyed
// by deadline:u64 and the field; its root follows the object in the record. Behind that
// comes, as a uvarint, how many fields have been removed, unless it is none: one that
// has lost most of its fields gets a new object (renew.go). A
// hash that has become large stays so until it is deleted. So no command costs
// more than its answer and a constant, or a logarithm, whatever the hash's size.
//
// The record's due time is the first of the fields' deadlines. It brings the
// keyspace's sweep here ([Due]); and a command that meets a hash whose due time
// has come removes the fields at fault, or up to a bound some of them and knows
// the rest by their deadlines: they are not there for anybody. A hash that has
// none but such is removed as a whole. A key whose hash nobody has looked into
// since its last field's deadline exists until then.
package hash
