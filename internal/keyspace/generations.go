package keyspace

import (
	"encoding/binary"
	"math"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// Namespaces is the number of databases that SELECT can choose from.
const Namespaces = 16

// Generations says under which generation each namespace keeps its records.
// Flushing a namespace gives it another generation; the records of the old
// one are dead from then on, and swept away later.
//
// Generations are never used twice in a partition: a new one is greater than
// every one in the map, and the greatest in the map never falls.
type Generations [Namespaces]uint32

// defaultGenerations is the map of a partition that was never flushed.
func defaultGenerations() (g Generations) {
	for db := range g {
		g[db] = uint32(db)
	}
	return g
}

// LoadGenerations reads a partition's map: 16 big endian numbers of 4 bytes.
func LoadGenerations(r kv.Reader, pid base.PartitionID) Generations {
	v, _ := r.Get(keys.GenerationsKey(pid))
	return ParseGenerations(v)
}

// ParseGenerations reads what is stored of a map: nothing if the partition was
// never flushed.
func ParseGenerations(v []byte) Generations {
	g := defaultGenerations()
	if len(v) != 4*Namespaces {
		return g
	}
	for db := range g {
		g[db] = binary.BigEndian.Uint32(v[4*db:])
	}
	return g
}

func (g Generations) store(w kv.Writer, pid base.PartitionID) {
	v := make([]byte, 0, 4*Namespaces)
	for _, gen := range g {
		v = binary.BigEndian.AppendUint32(v, gen)
	}
	w.Set(keys.GenerationsKey(pid), v)
}

// live says whether some namespace keeps its records under gen.
func (g Generations) live(gen uint32) bool {
	for _, l := range g {
		if l == gen {
			return true
		}
	}
	return false
}

func (g Generations) max() (m uint32) {
	for _, gen := range g {
		m = max(m, gen)
	}
	return m
}

// maxWish is the greatest generation that a flush may ask for. It leaves room
// above it for the partition's own choices.
const maxWish = math.MaxUint32 / 2

// fresh is a generation that was never used: the one wished for, or the next
// above all there are. ok is false when n numbers are not left.
func (g Generations) fresh(wish uint32, n int) (gen uint32, ok bool) {
	top := g.max()
	if wish > top && wish <= maxWish {
		return wish, true
	}
	return top + 1, uint64(top)+uint64(n) <= math.MaxUint32
}

// Flush empties namespace db in this partition, in constant time. The front
// wishes for one generation for all partitions, so that they stay alike; a
// partition that cannot grant it (flushes crossed each other) takes its next.
func (s *Space) Flush(db int, wish uint32) (ok bool) {
	gen, ok := s.gens.fresh(wish, 1)
	if !ok {
		return false
	}
	s.gens[db] = gen
	s.setGenerations()
	return true
}

// FlushAll empties all namespaces; namespace n gets generation wish+n.
func (s *Space) FlushAll(wish uint32) (ok bool) {
	gen, ok := s.gens.fresh(wish, Namespaces)
	if !ok {
		return false
	}
	for db := range s.gens {
		s.gens[db] = gen + uint32(db)
	}
	s.setGenerations()
	return true
}

// Swap exchanges what two namespaces hold in this partition, in constant time.
func (s *Space) Swap(a, b int) {
	s.gens[a], s.gens[b] = s.gens[b], s.gens[a]
	s.setGenerations()
}

func (s *Space) setGenerations() {
	s.gens.store(s.Txn, s.Partition)
	s.located, s.flushed = false, true
}

// Flushed says whether this command changed the map of generations, so that
// dead records are to be swept and a kept map is to be loaded again.
func (s *Space) Flushed() bool { return s.flushed }
