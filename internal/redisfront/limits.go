package redisfront

import (
	"context"
	"strconv"
	"time"

	"coterie/internal/keyspace"
)

// This file holds the limits of namespaces: "maxmemory" and "maxmemory-policy"
// are namespace 0's, and with ".3" behind them namespace 3's.

func policy(value string) (normal, why string) {
	p, ok := keyspace.ParsePolicy(value)
	if !ok {
		return "", "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction"
	}
	return p.String(), ""
}

// setLimit sets one of the limits' parameters. A limit where there was none
// begins an epoch of its own, and has the namespace counted.
func (s *session) setLimit(name, value string) string {
	stored := value
	limits := *s.f.limits.Load()
	for db := range limits {
		switch name {
		case keyspace.LimitSetting(keyspace.SettingMemory, db):
			bytes, _ := strconv.ParseUint(value, 10, 64)
			if limits[db].Bytes == 0 || limits[db].Epoch == 0 {
				limits[db].Epoch = uint32(time.Now().Unix())
			}
			if limits[db].Bytes = bytes; bytes == 0 {
				stored = ""
			} else {
				stored = keyspace.FormatLimit(bytes, limits[db].Epoch)
			}
		case keyspace.LimitSetting(keyspace.SettingPolicy, db):
			if limits[db].Policy, _ = keyspace.ParsePolicy(value); limits[db].Policy == keyspace.NoEviction {
				stored = ""
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), settingWait)
	defer cancel()
	if err := s.f.router.Set(ctx, name, stored); err != nil {
		return setFailed(name, err.Error())
	}
	s.f.showLimits(limits)
	return ""
}

// Limits makes the limits of namespaces known, by the parameters of the whole
// cluster.
func (f *Front) Limits(settings map[string]string) { f.showLimits(keyspace.ParseLimits(settings)) }

func (f *Front) showLimits(limits keyspace.NamespaceLimits) {
	c := &f.settings
	c.mu.Lock()
	defer c.mu.Unlock()
	f.limits.Store(&limits)
	for db, l := range limits {
		c.mu.byName[keyspace.LimitSetting(keyspace.SettingMemory, db)].value = strconv.FormatUint(l.Bytes, 10)
		c.mu.byName[keyspace.LimitSetting(keyspace.SettingPolicy, db)].value = l.Policy.String()
	}
}

// evaluatorLimits are what evaluations on sessions count by; nil if there are
// none.
func (f *Front) evaluatorLimits() *keyspace.NamespaceLimits {
	if l := f.limits.Load(); l.Any() {
		return l
	}
	return nil
}
