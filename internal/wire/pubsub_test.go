package wire

import (
	"reflect"
	"testing"
)

func publishItems() []PublishItem {
	return []PublishItem{
		{Channel: []byte("news"), Payload: []byte("hello")},
		{Sharded: true, Channel: []byte{}, Payload: []byte{}},
		{Channel: []byte("a\r\nb"), Payload: make([]byte, 300)},
	}
}

func interestItems() []InterestItem {
	return []InterestItem{
		{Kind: 0, Count: 1, Name: []byte("news")},
		{Kind: 1, Count: 0, Name: []byte("n*")},
		{Kind: 2, Count: 1<<32 - 1, Name: []byte{}},
	}
}

// pubsubMessages is one message of each kind.
func pubsubMessages() map[string][]byte {
	var publish []byte
	for _, it := range publishItems() {
		publish = AppendPublish(publish, &it)
	}
	interest := AppendInterest(nil, InterestHeader{Reset: true, Version: 700})
	for _, it := range interestItems() {
		interest = AppendInterestItem(interest, &it)
	}
	return map[string][]byte{
		"publish": publish, "interest": interest, "interest-ack": AppendInterestAck(nil, 1<<40),
	}
}

func TestPubsubMessages(t *testing.T) {
	m := pubsubMessages()
	pr, err := ReadPublish(m["publish"])
	if err != nil {
		t.Fatal(err)
	}
	var p PublishItem
	for i, want := range publishItems() {
		if ok, err := pr.Next(&p); !ok || !reflect.DeepEqual(p, want) {
			t.Errorf("item %d: %v %+v, want %+v", i, err, p, want)
		}
	}
	if ok, err := pr.Next(&p); ok || err != nil {
		t.Errorf("after the last item: %v %v", ok, err)
	}
	ir, h, err := ReadInterest(m["interest"])
	if err != nil || h != (InterestHeader{Reset: true, Version: 700}) {
		t.Fatalf("%+v %v", h, err)
	}
	var it InterestItem
	for i, want := range interestItems() {
		if ok, err := ir.Next(&it); !ok || !reflect.DeepEqual(it, want) {
			t.Errorf("topic %d: %v %+v, want %+v", i, err, it, want)
		}
	}
	if ok, err := ir.Next(&it); ok || err != nil {
		t.Errorf("after the last topic: %v %v", ok, err)
	}
	if v, err := ReadInterestAck(m["interest-ack"]); err != nil || v != 1<<40 {
		t.Errorf("%d %v", v, err)
	}
}
