package partition

import (
	"bytes"
	"testing"

	"coterie/internal/base"
)

// TestLongAnswersAreReplaced: a reply too long to be kept comes back as an
// error that says so, whole, also before it went with an entry.
func TestLongAnswersAreReplaced(t *testing.T) {
	var r Replica
	req := &Request{
		Flags: Write, Origin: base.Origin{Gateway: 1, Sequence: 7}, Reply: bytes.Repeat([]byte("x"), maxKeptReply+1),
	}
	r.keepUnrecorded([]*Request{req})
	if got, known := r.findUnrecorded(req.Origin); !known || string(got) != replyTooLong {
		t.Errorf("%d bytes, %v", len(got), known)
	}
	for _, a := range gatherAnswers(nil, answersOf(nil, []*Request{req})) {
		if got, _ := a.Find(7); string(got) != replyTooLong {
			t.Errorf("in an entry: %d bytes", len(got))
		}
	}
}
