package keys

import (
	"encoding/binary"

	"coterie/internal/base"

	"github.com/cespare/xxhash/v2"
)

// The kinds of keys within a slot.
const (
	kindCounter byte = 0x00
	kindRecord  byte = 0x01
	kindElement byte = 0x02
	kindExpiry  byte = 0x03
	kindNode    byte = 0x04
)

// The kinds of a partition's meta records.
const (
	metaState       byte = 0x00
	metaGenerations byte = 0x01
	metaIntent      byte = 0x02
	metaVerdict     byte = 0x03
)

// The first bytes of keys that belong to no slot.
const (
	// CatalogPrefix is the first byte of the catalog's own records.
	CatalogPrefix byte = 0x40
	// MetaPrefix is the first byte of the partitions' meta records.
	MetaPrefix byte = 0x80
)

// Sizes in bytes of what stands before the variable part of a key.
const (
	slotLen    = 2
	hashLen    = 6
	counterLen = slotLen + 1 + 4
	recordHead = slotLen + 1 + 4 + hashLen
	elemPrefix = slotLen + 1 + 8
	elemHead   = elemPrefix + hashLen
	expiryHead = slotLen + 1 + 8 + 4 + hashLen
	nodePrefix = slotLen + 1 + 8
	nodeLen    = nodePrefix + 8
)

// RecordOverhead is how many bytes a record's key is longer than the user's key.
const RecordOverhead = recordHead

// hashBits is the width of a Hash48.
const hashBits = 48

// Hash48 is the upper 48 bits of XXH64 of p, the hash that orders records and
// elements.
func Hash48(p []byte) uint64 { return xxhash.Sum64(p) >> (64 - hashBits) }

func appendSlot(dst []byte, slot base.Slot, kind byte) []byte {
	return append(dst, byte(slot>>8), byte(slot), kind)
}

func appendHash(dst []byte, h uint64) []byte {
	return append(dst, byte(h>>40), byte(h>>32), byte(h>>24), byte(h>>16), byte(h>>8), byte(h))
}

func parseHash(p []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(p))<<32 | uint64(binary.BigEndian.Uint32(p[2:]))
}

// isKind says whether k is a slot key of the given kind with at least n bytes.
func isKind(k []byte, kind byte, n int) bool {
	return len(k) >= n && k[0] < CatalogPrefix && k[2] == kind
}

func slotOf(k []byte) base.Slot { return base.Slot(binary.BigEndian.Uint16(k)) }

// SlotOf is the slot that key k belongs to; ok is false for keys of no slot.
func SlotOf(k []byte) (slot base.Slot, ok bool) {
	if len(k) <= slotLen || k[0] >= CatalogPrefix {
		return 0, false
	}
	return slotOf(k), true
}

// CounterKey appends the key of a slot's counters in one generation.
func CounterKey(dst []byte, slot base.Slot, gen uint32) []byte {
	return binary.BigEndian.AppendUint32(appendSlot(dst, slot, kindCounter), gen)
}

// ParseCounterKey takes a CounterKey apart.
func ParseCounterKey(k []byte) (slot base.Slot, gen uint32, ok bool) {
	if len(k) != counterLen || !isKind(k, kindCounter, counterLen) {
		return 0, 0, false
	}
	return slotOf(k), binary.BigEndian.Uint32(k[3:]), true
}

// RecordKey appends the key of a user key's record.
func RecordKey(dst []byte, slot base.Slot, gen uint32, key []byte) []byte {
	return append(appendRecordHead(dst, slot, gen, Hash48(key)), key...)
}

func appendRecordHead(dst []byte, slot base.Slot, gen uint32, hash uint64) []byte {
	return appendHash(binary.BigEndian.AppendUint32(appendSlot(dst, slot, kindRecord), gen), hash)
}

// Record is a RecordKey taken apart.
type Record struct {
	Slot base.Slot
	Gen  uint32
	Hash uint64 // Hash48 of Key
	Key  []byte // part of the parsed key, not a copy
}

// ParseRecordKey takes a RecordKey apart. It does not check the hash.
func ParseRecordKey(k []byte) (r Record, ok bool) {
	if !isKind(k, kindRecord, recordHead) {
		return Record{}, false
	}
	return Record{
		Slot: slotOf(k),
		Gen:  binary.BigEndian.Uint32(k[3:]),
		Hash: parseHash(k[7:]),
		Key:  k[recordHead:],
	}, true
}

// RecordBounds is the range of all records of a slot in one generation.
func RecordBounds(slot base.Slot, gen uint32) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint32(appendSlot(nil, slot, kindRecord), gen)
	return lower, PrefixEnd(lower)
}

// ElementPrefix appends what all elements of a collection begin with.
func ElementPrefix(dst []byte, slot base.Slot, object uint64) []byte {
	return binary.BigEndian.AppendUint64(appendSlot(dst, slot, kindElement), object)
}

// ElementKey appends the key of a collection's element.
func ElementKey(dst []byte, slot base.Slot, object uint64, elem []byte) []byte {
	return append(appendHash(ElementPrefix(dst, slot, object), Hash48(elem)), elem...)
}

// Element is an ElementKey taken apart.
type Element struct {
	Slot   base.Slot
	Object uint64
	Hash   uint64 // Hash48 of Elem
	Elem   []byte // part of the parsed key, not a copy
}

// ParseElementKey takes an ElementKey apart. It does not check the hash.
func ParseElementKey(k []byte) (e Element, ok bool) {
	if !isKind(k, kindElement, elemHead) {
		return Element{}, false
	}
	return Element{
		Slot:   slotOf(k),
		Object: binary.BigEndian.Uint64(k[3:]),
		Hash:   parseHash(k[elemPrefix:]),
		Elem:   k[elemHead:],
	}, true
}

// ElementBounds is the range of all elements of a collection.
func ElementBounds(slot base.Slot, object uint64) (lower, upper []byte) {
	lower = ElementPrefix(nil, slot, object)
	return lower, PrefixEnd(lower)
}

// ElementScanKey appends the place of the first element of a collection with
// a hash of at least the given one: where HSCAN and its like resume.
func ElementScanKey(dst []byte, slot base.Slot, object, hash uint64) []byte {
	return appendHash(ElementPrefix(dst, slot, object), hash)
}

// The two kinds of entries that a set has behind its ElementPrefix.
const (
	tagMember   byte = 0x00
	tagPosition byte = 0x01
)

// MemberKey appends the key under which a set says at which position a member is.
func MemberKey(dst []byte, slot base.Slot, object uint64, member []byte) []byte {
	return append(append(ElementPrefix(dst, slot, object), tagMember), member...)
}

// PositionKey appends the key under which a set says which member is at a
// position. A set's positions are 0 … its count-1.
func PositionKey(dst []byte, slot base.Slot, object, position uint64) []byte {
	return binary.BigEndian.AppendUint64(append(ElementPrefix(dst, slot, object), tagPosition), position)
}

// ParseSetKey takes a MemberKey or a PositionKey apart; member is nil for the
// latter.
func ParseSetKey(k []byte) (object uint64, member []byte, position uint64, ok bool) {
	if !isKind(k, kindElement, elemPrefix+1) {
		return 0, nil, 0, false
	}
	object, rest := binary.BigEndian.Uint64(k[3:]), k[elemPrefix+1:]
	switch {
	case k[elemPrefix] == tagMember:
		return object, rest[:len(rest):len(rest)], 0, true
	case k[elemPrefix] == tagPosition && len(rest) == 8:
		return object, nil, binary.BigEndian.Uint64(rest), true
	}
	return 0, nil, 0, false
}

// ParseElementPrefix says which collection a key belongs to, whatever its
// type writes behind the prefix.
func ParseElementPrefix(k []byte) (slot base.Slot, object uint64, ok bool) {
	if !isKind(k, kindElement, elemPrefix) {
		return 0, 0, false
	}
	return slotOf(k), binary.BigEndian.Uint64(k[3:]), true
}

// Collection is where the parts of a collection are.
type Collection struct {
	Slot   base.Slot
	Object uint64
}

// CollectionOf says which collection an element or a node of a tree belongs to.
func CollectionOf(k []byte) (c Collection, ok bool) {
	if !isKind(k, kindElement, elemPrefix) && !isKind(k, kindNode, nodePrefix) {
		return Collection{}, false
	}
	return Collection{slotOf(k), binary.BigEndian.Uint64(k[slotLen+1:])}, true
}

// End is behind all parts of the collection that are of the kind of part.
func (c Collection) End(part []byte) []byte { return PrefixEnd(part[:elemPrefix:elemPrefix]) }

// ExpiryKey appends the key of an entry in the expiry index. A deadline is
// milliseconds since the Unix epoch, and never negative: a key whose deadline
// is in the past is deleted, not stored.
func ExpiryKey(dst []byte, slot base.Slot, deadlineMs int64, gen uint32, key []byte) []byte {
	dst = binary.BigEndian.AppendUint64(appendSlot(dst, slot, kindExpiry), deadlineBits(deadlineMs))
	dst = binary.BigEndian.AppendUint32(dst, gen)
	return append(appendHash(dst, Hash48(key)), key...)
}

func deadlineBits(ms int64) uint64 {
	if ms < 0 {
		panic("keys: negative deadline")
	}
	return uint64(ms)
}

// Expiry is an ExpiryKey taken apart.
type Expiry struct {
	Slot       base.Slot
	DeadlineMs int64
	Gen        uint32
	Hash       uint64 // Hash48 of Key
	Key        []byte // part of the parsed key, not a copy
}

// IsExpiryKey says whether a key is an entry of the expiry index.
func IsExpiryKey(k []byte) bool { return isKind(k, kindExpiry, expiryHead) }

// ParseExpiryKey takes an ExpiryKey apart. It does not check the hash.
func ParseExpiryKey(k []byte) (e Expiry, ok bool) {
	if !isKind(k, kindExpiry, expiryHead) {
		return Expiry{}, false
	}
	deadline := int64(binary.BigEndian.Uint64(k[3:]))
	if deadline < 0 {
		return Expiry{}, false
	}
	return Expiry{
		Slot:       slotOf(k),
		DeadlineMs: deadline,
		Gen:        binary.BigEndian.Uint32(k[11:]),
		Hash:       parseHash(k[15:]),
		Key:        k[expiryHead:],
	}, true
}

// ExpiryBounds is the range of all of a slot's expiry entries whose deadline
// is at most throughMs. A negative throughMs gives an empty range.
func ExpiryBounds(slot base.Slot, throughMs int64) (lower, upper []byte) {
	lower = appendSlot(nil, slot, kindExpiry)
	upper = binary.BigEndian.AppendUint64(appendSlot(nil, slot, kindExpiry), uint64(max(throughMs+1, 0)))
	if throughMs+1 < throughMs { // past the largest deadline there is
		upper = PrefixEnd(lower)
	}
	return lower, upper
}

// NodeKeyLen is the length of a NodeKey in bytes.
const NodeKeyLen = nodePrefix + 8

// NodeKey appends the key of a node of a collection's trees.
func NodeKey(dst []byte, slot base.Slot, object, node uint64) []byte {
	return binary.BigEndian.AppendUint64(nodeHead(dst, slot, object), node)
}

func nodeHead(dst []byte, slot base.Slot, object uint64) []byte {
	return binary.BigEndian.AppendUint64(appendSlot(dst, slot, kindNode), object)
}

// Node is a NodeKey taken apart.
type Node struct {
	Slot   base.Slot
	Object uint64
	ID     uint64
}

// ParseNodeKey takes a NodeKey apart.
func ParseNodeKey(k []byte) (n Node, ok bool) {
	if len(k) != nodeLen || !isKind(k, kindNode, nodeLen) {
		return Node{}, false
	}
	return Node{
		Slot:   slotOf(k),
		Object: binary.BigEndian.Uint64(k[3:]),
		ID:     binary.BigEndian.Uint64(k[nodePrefix:]),
	}, true
}

// NodeBounds is the range of all nodes of a collection's trees.
func NodeBounds(slot base.Slot, object uint64) (lower, upper []byte) {
	lower = nodeHead(nil, slot, object)
	return lower, PrefixEnd(lower)
}

// BehindExpiry says whether a key of a slot lies behind the slot's expiry index.
func BehindExpiry(k []byte) bool { return len(k) > slotLen && k[slotLen] > kindExpiry }

// SpanBounds is the range of all keys of a span of slots. An empty span gives
// an empty range.
func SpanBounds(s base.Span) (lower, upper []byte) {
	if s.Empty() {
		return slotBound(s.Lo), slotBound(s.Lo)
	}
	return slotBound(s.Lo), slotBound(s.Hi)
}

// slotBound is the place before the first key of a slot.
func slotBound(slot uint16) []byte {
	if slot >= base.NumSlots {
		// One byte, so that no catalog record, however short, sorts below it.
		return []byte{CatalogPrefix}
	}
	return []byte{byte(slot >> 8), byte(slot)}
}

// CatalogBounds is the range of the catalog's own records.
func CatalogBounds() (lower, upper []byte) {
	return []byte{CatalogPrefix}, []byte{CatalogPrefix + 1}
}

// StateKey is the key of a partition's state record.
func StateKey(pid base.PartitionID) []byte { return append(metaPrefix(pid), metaState) }

// GenerationsKey is the key of a partition's map from namespaces to generations.
func GenerationsKey(pid base.PartitionID) []byte { return append(metaPrefix(pid), metaGenerations) }

// IntentKey is where a partition keeps what a transaction over several
// partitions is going to write there; the transaction is named by a gateway
// node and a sequence.
func IntentKey(pid base.PartitionID, gateway base.NodeID, sequence uint64) []byte {
	return txnKey(pid, metaIntent, gateway, sequence)
}

// VerdictKey is where such a transaction's home keeps how it ended.
func VerdictKey(pid base.PartitionID, gateway base.NodeID, sequence uint64) []byte {
	return txnKey(pid, metaVerdict, gateway, sequence)
}

func txnKey(pid base.PartitionID, kind byte, gateway base.NodeID, sequence uint64) []byte {
	k := binary.BigEndian.AppendUint64(append(metaPrefix(pid), kind), uint64(gateway))
	return binary.BigEndian.AppendUint64(k, sequence)
}

// ParseTxnKey takes an IntentKey or a VerdictKey apart.
func ParseTxnKey(k []byte) (gateway base.NodeID, sequence uint64, verdict, ok bool) {
	_, rest, isMeta := ParseMetaKey(k)
	if !isMeta || len(rest) != 17 || rest[0] != metaIntent && rest[0] != metaVerdict {
		return 0, 0, false, false
	}
	return base.NodeID(binary.BigEndian.Uint64(rest[1:])), binary.BigEndian.Uint64(rest[9:]), rest[0] == metaVerdict, true
}

// TxnBounds is the range of a partition's intents and verdicts.
func TxnBounds(pid base.PartitionID) (lower, upper []byte) {
	return append(metaPrefix(pid), metaIntent), append(metaPrefix(pid), metaVerdict+1)
}

// MetaBounds is the range of a partition's meta records.
func MetaBounds(pid base.PartitionID) (lower, upper []byte) {
	lower = metaPrefix(pid)
	return lower, PrefixEnd(lower)
}

// AllMetaBounds is the range of the meta records of all partitions.
func AllMetaBounds() (lower, upper []byte) {
	return []byte{MetaPrefix}, []byte{MetaPrefix + 1}
}

// ParseMetaKey says which partition a meta record belongs to, and what is
// left of the key after the partition's id.
func ParseMetaKey(k []byte) (pid base.PartitionID, rest []byte, ok bool) {
	if len(k) < 5 || k[0] != MetaPrefix {
		return 0, nil, false
	}
	return base.PartitionID(binary.BigEndian.Uint32(k[1:])), k[5:], true
}

func metaPrefix(pid base.PartitionID) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 6), MetaPrefix), uint32(pid))
}

// PrefixEnd is the least key greater than all keys that begin with prefix,
// or nil when there is none (prefix is empty or all 0xff). It does not alias
// prefix.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
