package partition

import (
	"encoding/binary"
	"fmt"

	"coterie/internal/base"
)

// TxnID names a transaction over several partitions: it is the origin of the
// PREPARE that went to its home.
type TxnID struct {
	Gateway  base.NodeID
	Sequence uint64
}

// The requests of transactions carry the flag Transaction, and one of these as
// their first argument; what follows is described where the arguments are
// made. See docs/internals/transactions.md.
const (
	txnPrepare = 'P'
	txnCommit  = 'C'
	txnResolve = 'R'
	txnForget  = 'F'
	txnRecover = 'V'
)

// The first byte of a participant's answer. What follows a vote is the reply
// of the group.
const (
	TxnPrepared  = 'P' // the group was run and is kept, unseen
	TxnDeclined  = 'N' // the group itself came to nothing: a watched key had changed
	TxnBusy      = 'B' // others hold its locks, and it was not to wait
	TxnAborted   = 'A' // the transaction was aborted before
	TxnCommitted = 'C'
	TxnResolved  = 'R'
)

// PrepareArgs makes the arguments of PREPARE: the op and whether to wait for
// locks, the id (empty for the request to home: it is that request's own
// origin), the participants, home first, and the group.
func PrepareArgs(id TxnID, participants []base.PartitionID, wait bool, group [][]byte) [][]byte {
	op, name := []byte{txnPrepare, 0}, []byte{}
	if wait {
		op[1] = 1
	}
	if id != (TxnID{}) {
		name = appendTxnID(nil, id)
	}
	return append([][]byte{op, name, appendPartitions(nil, participants)}, group...)
}

// CommitArgs makes the arguments of COMMIT.
func CommitArgs(id TxnID) [][]byte { return [][]byte{{txnCommit}, appendTxnID(nil, id)} }

// ResolveArgs makes the arguments of RESOLVE.
func ResolveArgs(id TxnID, commit bool) [][]byte {
	op := []byte{txnResolve, 0}
	if commit {
		op[1] = 1
	}
	return [][]byte{op, appendTxnID(nil, id)}
}

// ForgetArgs makes the arguments of FORGET.
func ForgetArgs(ids ...TxnID) [][]byte {
	args := [][]byte{{txnForget}}
	for _, id := range ids {
		args = append(args, appendTxnID(nil, id))
	}
	return args
}

// RecoverArgs makes the arguments of RECOVER.
func RecoverArgs(id TxnID) [][]byte { return [][]byte{{txnRecover}, appendTxnID(nil, id)} }

func appendTxnID(dst []byte, id TxnID) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(id.Gateway))
	return binary.BigEndian.AppendUint64(dst, id.Sequence)
}

func decodeTxnID(b []byte) (TxnID, error) {
	if len(b) != 16 {
		return TxnID{}, fmt.Errorf("transaction id of %d bytes", len(b))
	}
	return TxnID{Gateway: base.NodeID(binary.BigEndian.Uint64(b)), Sequence: binary.BigEndian.Uint64(b[8:])}, nil
}

func appendPartitions(dst []byte, ids []base.PartitionID) []byte {
	for _, id := range ids {
		dst = binary.BigEndian.AppendUint32(dst, uint32(id))
	}
	return dst
}

func decodePartitions(b []byte) ([]base.PartitionID, error) {
	if len(b)%4 != 0 {
		return nil, fmt.Errorf("partitions of %d bytes", len(b))
	}
	var ids []base.PartitionID
	for ; len(b) > 0; b = b[4:] {
		ids = append(ids, base.PartitionID(binary.BigEndian.Uint32(b)))
	}
	return ids, nil
}

// String is the id as in traces.
func (id TxnID) String() string {
	return fmt.Sprintf("%d.%d.%d", id.Gateway, id.Sequence>>44, id.Sequence&(1<<44-1))
}

// Recover says that a transaction's intent has been waiting here for longer
// than its coordinator should take: home is to be asked (RECOVER), and the
// answer to be brought here (RESOLVE).
type Recover struct {
	Partition, Home base.PartitionID
	ID              TxnID
}

// Settle says that a committed transaction's verdict has been kept for longer
// than its coordinator should take: all participants are to be told (RESOLVE),
// and then this partition, its home (FORGET).
type Settle struct {
	ID           TxnID
	Participants []base.PartitionID // home first
}
