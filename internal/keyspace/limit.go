package keyspace

import (
	"math"
	"strconv"
	"strings"

	"coterie/internal/base"
)

// Policy says which keys of a limited namespace go when it is full.
type Policy uint8

// The policies, as Redis names them.
const (
	NoEviction Policy = iota
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
	VolatileLRU
	VolatileLFU
	VolatileRandom
	VolatileTTL
)

var policyNames = [...]string{"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}

// String is the policy as Redis names it.
func (p Policy) String() string { return policyNames[p] }

// ParsePolicy finds a policy by its name, in any case.
func ParsePolicy(name string) (Policy, bool) {
	for p, n := range policyNames {
		if strings.EqualFold(n, name) {
			return Policy(p), true
		}
	}
	return NoEviction, false
}

func (p Policy) volatile() bool { return p >= VolatileLRU }

// LFU says whether the policy goes by how often keys are used.
func (p Policy) LFU() bool { return p == AllKeysLFU || p == VolatileLFU }

func (p Policy) lru() bool { return p == AllKeysLRU || p == VolatileLRU }

// Limit bounds what a namespace takes in the whole cluster.
type Limit struct {
	Bytes  uint64 // 0: there is no limit, and nothing is counted
	Policy Policy
	// Epoch tells this limit from those before it that were taken away: bytes
	// that were counted for another epoch mean nothing. It is not 0.
	Epoch uint32
}

// share is what a partition may hold.
func (l Limit) share(span base.Span) int64 {
	return int64(float64(min(l.Bytes, math.MaxInt64/2)) * float64(span.Len()) / base.NumSlots)
}

// NamespaceLimits are the limits of all namespaces.
type NamespaceLimits [Namespaces]Limit

// Any says whether some namespace has a limit.
func (l *NamespaceLimits) Any() bool {
	if l == nil {
		return false
	}
	for _, x := range l {
		if x.Bytes > 0 {
			return true
		}
	}
	return false
}

// The parameters of the limits: for namespace 0 by Redis's names, for another
// one with its number behind a point.
const (
	SettingMemory = "maxmemory"
	SettingPolicy = "maxmemory-policy"
)

// LimitSetting is the name of a namespace's parameter.
func LimitSetting(name string, db int) string {
	if db == 0 {
		return name
	}
	return name + "." + strconv.Itoa(db)
}

// FormatLimit is how a limit's bytes and epoch are kept as a parameter of the
// whole cluster.
func FormatLimit(bytes uint64, epoch uint32) string {
	return strconv.FormatUint(bytes, 10) + "@" + strconv.FormatUint(uint64(epoch), 10)
}

// ParseLimits reads the limits from the cluster's parameters. What makes no
// sense is no limit.
func ParseLimits(settings map[string]string) (limits NamespaceLimits) {
	for db := range limits {
		size, epoch, _ := strings.Cut(settings[LimitSetting(SettingMemory, db)], "@")
		bytes, err := strconv.ParseUint(size, 10, 64)
		number, err2 := strconv.ParseUint(epoch, 10, 32)
		if err == nil && err2 == nil && number > 0 {
			limits[db].Bytes, limits[db].Epoch = bytes, uint32(number)
		}
		limits[db].Policy, _ = ParsePolicy(settings[LimitSetting(SettingPolicy, db)])
	}
	return limits
}
