package bench

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"
)

// Config says what to do. Zero fields take the default in brackets; what has
// none may stay zero.
type Config struct {
	// Addrs are servers, "host:port". Clients are spread over them round-robin.
	Addrs []string `json:"addrs"`
	// Cluster asks the first server that answers for CLUSTER SLOTS, sends each
	// key to the master of its slot, and follows MOVED and ASK.
	Cluster bool `json:"cluster,omitempty"`

	Connections int `json:"connections"`       // clients [50]
	Pipeline    int `json:"pipeline"`          // requests a client has in flight, at most [1]
	Workers     int `json:"workers,omitempty"` // goroutines that drive them [one per four processors]

	// Command is what is sent [mixed]: "get", "set", "mixed" (gets and sets,
	// ReadShare of them gets), "incr", or a command with the placeholders
	// __key__ and __value__, quoted as on Redis's command line:
	// "HSET __key__ field __value__".
	Command   string  `json:"command"`
	ReadShare float64 `json:"read_share"` // 0 to 1, for "mixed"
	ValueSize int     `json:"value_size"` // bytes [64]

	Keys         int    `json:"keys"`         // number of keys [100000]
	KeySize      int    `json:"key_size"`     // bytes: "key:" and zero-padded digits [16]
	Distribution string `json:"distribution"` // [uniform], zipfian (exponent 0.99), sequential

	// The run ends after Duration or after Requests, whichever comes first
	// [10 s when neither is set].
	Duration time.Duration `json:"duration_ns,omitempty"`
	Requests int64         `json:"requests,omitempty"`
	Rate     float64       `json:"rate,omitempty"`      // requests/s of an open loop [closed loop]
	Warmup   time.Duration `json:"warmup_ns,omitempty"` // load before the measurement begins
	Prefill  bool          `json:"prefill,omitempty"`   // set every key once before

	Timeout time.Duration `json:"timeout_ns"`         // silence after which a connection is given up [5 s]
	Seed    uint64        `json:"seed"`               // of keys and values
	CPUPIDs []int         `json:"cpu_pids,omitempty"` // local processes whose CPU time is reported

	Terminal bool `json:"-"` // progress overwrites its own line
}

// Limits of a Config.
const (
	maxConnections = 100_000
	maxPipeline    = 100_000
	maxKeySize     = 64 << 10  // bytes
	maxValueSize   = 512 << 20 // bytes
	maxKeys        = 1 << 40
	maxRate        = 100e6 // requests/s
	// keyPrefix begins every key; counters have another one, so that INCR
	// does not meet a value that is no number.
	keyPrefix     = "key:"
	counterPrefix = "cnt:"
)

func (c Config) withDefaults() Config {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&c.Connections, 50}, {&c.Pipeline, 1}, {&c.ValueSize, 64}, {&c.Keys, 100_000}, {&c.KeySize, 16},
		{&c.Workers, max(1, runtime.NumCPU()/4)},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if c.Command == "" {
		c.Command = "mixed"
	}
	if c.Distribution == "" {
		c.Distribution = "uniform"
	}
	if c.Duration == 0 && c.Requests == 0 {
		c.Duration = 10 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	c.Workers = min(c.Workers, c.Connections)
	return c
}

func (c Config) validate() error {
	if len(c.Addrs) == 0 {
		return errors.New("no server address")
	}
	for _, f := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"connections", float64(c.Connections), 1, maxConnections},
		{"pipeline", float64(c.Pipeline), 1, maxPipeline},
		{"workers", float64(c.Workers), 1, maxConnections},
		{"read share", c.ReadShare, 0, 1},
		{"value size", float64(c.ValueSize), 1, maxValueSize},
		{"keys", float64(c.Keys), 1, maxKeys},
		{"key size", float64(c.KeySize), float64(len(keyPrefix) + 1), maxKeySize},
		{"requests", float64(c.Requests), 0, 1e18},
		{"rate", c.Rate, 0, maxRate},
		{"duration", c.Duration.Seconds(), 0, 1e9},
		{"warm-up", c.Warmup.Seconds(), 0, 1e9},
		{"timeout", c.Timeout.Seconds(), 0.001, 1e9},
	} {
		if !(f.value >= f.low && f.value <= f.high) {
			return fmt.Errorf("%s %v is not between %v and %v", f.name, f.value, f.low, f.high)
		}
	}
	if digits := len(strconv.Itoa(c.Keys - 1)); len(keyPrefix)+digits > c.KeySize {
		return fmt.Errorf("%d keys do not fit in a key size of %d bytes", c.Keys, c.KeySize)
	}
	switch c.Distribution {
	case "uniform", "zipfian", "sequential":
	default:
		return fmt.Errorf("distribution %q is none of uniform, zipfian, sequential", c.Distribution)
	}
	return nil
}
