package partition

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// words is an Evaluator for the scripts.
type words struct{}

func (words) Evaluate(txn *Txn, req *Request, reply []byte) []byte {
	if req.Flags&Group != 0 {
		return evaluateGroup(txn, req, reply)
	}
	key := keys.RecordKey(nil, req.Slot, 0, []byte("k"))
	old, _ := txn.Get(key)
	if req.Flags&Blocking != 0 {
		return evaluateBlocking(txn, req, old, reply)
	}
	if len(req.Args) > 1 {
		txn.Waiters().Touch(waitedFor(req.Slot))
	}
	reply = append(append(reply, "was "...), old...)
	if len(req.Args) > 1 && (string(req.Args[0]) != "ifnone" || len(old) == 0) {
		txn.Set(key, req.Args[1])
		say(txn, req.Args[1])
	}
	return reply
}

// waitedFor is the key k of a slot as waiters name it.
func waitedFor(s base.Slot) []byte {
	if s == 0 {
		return []byte("\x00k")
	}
	return fmt.Appendf(nil, "\x00k of %d", s)
}

// evaluateBlocking runs the words that may wait.
func evaluateBlocking(txn *Txn, req *Request, old, reply []byte) []byte {
	word := string(req.Args[0])
	if len(old) == 0 {
		txn.Waiters().Wait([][]byte{waitedFor(req.Slot)}, [][]byte{[]byte(word), []byte("again")}, "words", word == "peek")
		return reply
	}
	reply = append(append(append(reply, word...), ' '), old...)
	if word != "peek" {
		txn.Delete(keys.RecordKey(nil, req.Slot, 0, []byte("k")))
		txn.Waiters().Touch(waitedFor(req.Slot))
	}
	if word == "move" {
		txn.Set(keys.RecordKey(nil, 50, 0, []byte("k")), old)
		txn.Waiters().Touch(waitedFor(50))
	}
	return reply
}

// evaluateGroup runs the words of a transaction: slot/value, or null.
func evaluateGroup(txn *Txn, req *Request, reply []byte) []byte {
	reply = append(reply, '*')
	for _, w := range req.Args {
		slot, value, ok := strings.Cut(string(w), "/")
		if !ok {
			return append(reply, "-1"...)
		}
		if req.Flags&Write == 0 {
			n, _ := strconv.Atoi(slot)
			old, _ := txn.Get(keys.RecordKey(nil, base.Slot(n), 0, []byte("k")))
			reply = append(append(reply, " is "...), old...)
			continue
		}
		n, _ := strconv.Atoi(slot)
		key := keys.RecordKey(nil, base.Slot(n), 0, []byte("k"))
		old, _ := txn.Get(key)
		reply = append(append(reply, " was "...), old...)
		txn.Set(key, []byte(value))
		say(txn, []byte(value))
	}
	return reply
}

// say has subscribers told of a value that is meant for them.
func say(txn *Txn, value []byte) {
	if bytes.HasPrefix(value, []byte("hear-")) {
		txn.Mail(kv.Mail{Channel: []byte("k"), Payload: bytes.Clone(value)})
	}
}

func (words) Slots(req *Request, visit func(base.Slot)) bool {
	if req.Flags&Group == 0 {
		if visit(req.Slot); string(req.Args[0]) == "move" {
			visit(50)
		}
		return string(req.Args[0]) != "all"
	}
	for _, w := range req.Args {
		slot, _, _ := strings.Cut(string(w), "/")
		n, _ := strconv.Atoi(slot)
		visit(base.Slot(n))
	}
	return true
}

func (words) Wrote(*Txn, []byte, bool) {}

func (words) Background(*Txn) bool { return false }
