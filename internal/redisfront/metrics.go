package redisfront

import "github.com/prometheus/client_golang/prometheus"

var (
	descDuration = prometheus.NewDesc("coterie_redis_command_duration_seconds",
		"Time from reading a command to having its reply, by command.", []string{"command"}, nil)
	descFailed = prometheus.NewDesc("coterie_redis_command_errors_total",
		"Commands answered with an error, by command.", []string{"command"}, nil)
	descRejected = prometheus.NewDesc("coterie_redis_command_rejected_total",
		"Commands refused before they ran, by command.", []string{"command"}, nil)
	descErrors = prometheus.NewDesc("coterie_redis_errors_total",
		"Error replies, by their first word.", []string{"kind"}, nil)
	descConnections = prometheus.NewDesc("coterie_redis_connections",
		"Open client connections.", nil, nil)
	descAccepted = prometheus.NewDesc("coterie_redis_connections_accepted_total",
		"Client connections accepted.", nil, nil)
	descRefused = prometheus.NewDesc("coterie_redis_connections_refused_total",
		"Client connections turned away because there were too many.", nil, nil)
	descProtocol = prometheus.NewDesc("coterie_redis_protocol_errors_total",
		"Connections ended because their bytes were no protocol.", nil, nil)
	descMemory = prometheus.NewDesc("coterie_redis_request_memory_bytes",
		"Memory of read buffers and of unsent replies of slow readers.", nil, nil)
	descBytes = prometheus.NewDesc("coterie_redis_network_bytes_total",
		"Bytes read from and written to clients.", []string{"direction"}, nil)
)

var _ prometheus.Collector = (*Front)(nil)

// Describe is part of prometheus.Collector.
func (f *Front) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descDuration, descFailed, descRejected, descErrors,
		descConnections, descAccepted, descRefused, descProtocol, descMemory, descBytes} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector. Commands never called are left
// out.
func (f *Front) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n)
	}
	for _, c := range f.table.stats {
		if n := c.rejected.Load(); n > 0 {
			counter(descRejected, n, c.name)
		}
		if n := c.failed.Load(); n > 0 {
			counter(descFailed, n, c.name)
		}
		if c.calls.Load() == 0 {
			continue
		}
		sum, buckets := uint64(0), make(map[float64]uint64, latencyBuckets)
		for i := range c.buckets {
			sum += c.buckets[i].Load()
			if i < latencyBuckets-1 {
				buckets[float64(uint64(1)<<i)/1e6] = sum
			}
		}
		ch <- prometheus.MustNewConstHistogram(descDuration, sum, float64(c.nanos.Load())/1e9, buckets, c.name)
	}
	kinds, counts := f.counters.errorKinds()
	for _, k := range kinds {
		counter(descErrors, counts[k], k)
	}
	gauge(descConnections, float64(f.Connections()))
	gauge(descMemory, float64(f.budget.inUse()))
	counter(descAccepted, f.counters.connections.Load())
	counter(descRefused, f.counters.rejectedConnections.Load())
	counter(descProtocol, f.counters.protocolErrors.Load())
	counter(descBytes, f.counters.bytesIn.Load(), "in")
	counter(descBytes, f.counters.bytesOut.Load(), "out")
}
