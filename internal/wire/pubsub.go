package wire

import "encoding/binary"

// PublishItem is a message on its way to the subscribers of another node.
type PublishItem struct {
	Sharded          bool
	Channel, Payload []byte
}

const publishSharded = 1

// AppendPublish adds one message to a KindPublish message, or starts one if
// dst is empty.
func AppendPublish(dst []byte, it *PublishItem) []byte {
	dst = begin(dst, KindPublish)
	flags := byte(0)
	if it.Sharded {
		flags = publishSharded
	}
	dst = append(dst, flags)
	dst = appendBytes(dst, it.Channel)
	return appendBytes(dst, it.Payload)
}

// PublishReader takes a KindPublish message apart.
type PublishReader struct{ c cursor }

// ReadPublish opens a KindPublish message.
func ReadPublish(msg []byte) (PublishReader, error) {
	c, err := open(msg, KindPublish)
	return PublishReader{c: c}, err
}

// Next decodes the next message into it and is false at the end, and after an
// error. Channel and payload alias the message.
func (r *PublishReader) Next(it *PublishItem) (bool, error) {
	c := &r.c
	if len(c.b) == 0 {
		return false, nil
	}
	flags := c.u8()
	it.Sharded = flags == publishSharded
	it.Channel, it.Payload = c.bytes(), c.bytes()
	if c.bad || flags > publishSharded {
		return false, malformed("publish item")
	}
	return true, nil
}

// InterestItem is how many subscribers of a topic the sender has. Kind is
// pubsub's.
type InterestItem struct {
	Kind  uint8
	Count uint32
	Name  []byte
}

// InterestHeader begins a KindInterest message. With Reset it takes back all
// that the sender told before. Version is what the receiver confirms; 0: it
// need not.
type InterestHeader struct {
	Reset   bool
	Version uint64
}

const interestReset = 1

// AppendInterest starts a KindInterest message in an empty dst.
func AppendInterest(dst []byte, h InterestHeader) []byte {
	dst = begin(dst, KindInterest)
	flags := byte(0)
	if h.Reset {
		flags = interestReset
	}
	return binary.AppendUvarint(append(dst, flags), h.Version)
}

// AppendInterestItem adds a topic to a started KindInterest message.
func AppendInterestItem(dst []byte, it *InterestItem) []byte {
	dst = append(dst, it.Kind)
	dst = binary.AppendUvarint(dst, uint64(it.Count))
	dst = binary.AppendUvarint(dst, uint64(len(it.Name)))
	return append(dst, it.Name...)
}

// InterestReader takes a KindInterest message apart.
type InterestReader struct{ c cursor }

// ReadInterest opens a KindInterest message.
func ReadInterest(msg []byte) (InterestReader, InterestHeader, error) {
	c, err := open(msg, KindInterest)
	if err != nil {
		return InterestReader{}, InterestHeader{}, err
	}
	flags := c.u8()
	h := InterestHeader{Reset: flags == interestReset, Version: c.uvarint()}
	if c.bad || flags > interestReset {
		return InterestReader{}, InterestHeader{}, malformed("interest header")
	}
	return InterestReader{c: c}, h, nil
}

// Next decodes the next topic into it and is false at the end, and after an
// error. The name aliases the message.
func (r *InterestReader) Next(it *InterestItem) (bool, error) {
	c := &r.c
	if len(c.b) == 0 {
		return false, nil
	}
	it.Kind, it.Count, it.Name = c.u8(), c.u32(), c.bytes()
	if c.bad {
		return false, malformed("interest item")
	}
	return true, nil
}

// AppendInterestAck starts a KindInterestAck message: everything that the
// receiver told up to a version is known here.
func AppendInterestAck(dst []byte, version uint64) []byte {
	return binary.AppendUvarint(begin(dst, KindInterestAck), version)
}

// ReadInterestAck is the version of a KindInterestAck message.
func ReadInterestAck(msg []byte) (uint64, error) {
	c, err := open(msg, KindInterestAck)
	if err != nil {
		return 0, err
	}
	v := c.uvarint()
	if c.bad || len(c.b) > 0 {
		return 0, malformed("interest ack")
	}
	return v, nil
}
