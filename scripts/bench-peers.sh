#!/usr/bin/env bash
# Measures three Coterie nodes, one node alone, and the peers that come closest
# to it, all on this machine in one run. Prints one line each.
# Needs redis-server. With ETCD=DIR, where DIR holds the programs etcd,
# etcdctl and etcd-benchmark (tools/benchmark of its source), etcd is measured too.
# Usage: [ETCD=DIR] scripts/bench-peers.sh [rounds]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
go build -o "$dir/coterie" ./cmd/coterie
go build -o "$dir/load" ./scripts/load
co="$dir/coterie"
N=200000

start_cluster() { # partitions base nodes
	local first=$(($2 + 1)) i join
	npids=()
	for ((i = 1; i <= $3; i++)); do
		join=(); [ $i -gt 1 ] && join=(--join "127.0.0.1:$(($2 + 200 + 1))")
		"$co" start --data-dir "$dir/c$2-$i" --partitions "$1" --listen 127.0.0.1:$(($2 + i)) \
			--cluster-listen 127.0.0.1:$(($2 + 100 + i)) --peer-listen 127.0.0.1:$(($2 + 200 + i)) \
			--http-listen 127.0.0.1:$(($2 + 300 + i)) "${join[@]}" >"$dir/log$2-$i" 2>&1 &
		npids+=($!); pids+=($!)
		[ $i = 1 ] && sleep 1
	done
	sleep 4
}
stop() { kill "${npids[@]}"; wait "${npids[@]}" 2>/dev/null || true; }
ticks() { local s=0 p a; for p in "${npids[@]}"; do a=($(cut -d')' -f2 /proc/$p/stat)); s=$((s + a[11] + a[12])); done; echo $s; }
row() { # name requests args...
	local name=$1 n=$2 t0 t1; shift 2
	t0=$(ticks); "$co" bench -n "$n" -t 120s -o json "$@" 2>/dev/null >"$dir/out.json"; t1=$(ticks)
	awk -v name="$name" -v n="$n" -v t=$((t1 - t0)) '
		/"ops_per_s":/ && !o {gsub(/[",]/,"",$2); o=$2} /"p50_us":/ && !p {gsub(/,/,"",$2); p=$2} /"p99_us":/ && !q {gsub(/,/,"",$2); q=$2}
		END {printf "%-44s %8.0f ops/s  p50 %5.2f ms  p99 %5.2f ms  CPU of the servers %5.1f us/op\n", name, o, p/1000, q/1000, t*10000/n}' "$dir/out.json"
}
load_row() { # name n args..., of the nodes at A
	local name=$1 n=$2 t0 t1 line; shift 2
	t0=$(ticks); line=$("$dir/load" -addr "$A" -n "$n" "$@"); t1=$(ticks)
	printf "%-44s %s, CPU of the servers %.1f us/op\n" "$name" "$line" "$(echo "($t1-$t0)*10000/$n" | bc -l)"
}
redis() { # port args...
	local port=$1; shift; mkdir -p "$dir/r$port"
	redis-server --port "$port" --dir "$dir/r$port" --save "" --appendonly yes --appendfsync always "$@" >"$dir/r$port.log" 2>&1 &
	npids+=($!); pids+=($!)
}
etcd_row() { # name requests args...
	local name=$1 n=$2 t0 t1; shift 2
	t0=$(ticks); "$ETCD/etcd-benchmark" --endpoints "$E" "$@" --total "$n" >"$dir/etcd.out" 2>/dev/null; t1=$(ticks)
	awk -v name="$name" -v n="$n" -v t=$((t1 - t0)) '/Requests\/sec:/ {o=$2} /^ *50% in/ {p=$3} /^ *99% in/ {q=$3}
		END {printf "%-44s %8.0f ops/s  p50 %5.2f ms  p99 %5.2f ms  CPU of the servers %5.1f us/op\n", name, o, p*1000, q*1000, t*10000/n}' "$dir/etcd.out"
}
etcd() { # round
	local i b=$((17000 + $1 * 10)) all=""
	npids=(); E=""
	for i in 1 2 3; do all+=",e$i=http://127.0.0.1:$((b + 100 + i))"; E+=",127.0.0.1:$((b + i))"; done
	E=${E#,}
	for i in 1 2 3; do
		"$ETCD/etcd" --name "e$i" --data-dir "$dir/etcd$i" --listen-client-urls "http://127.0.0.1:$((b + i))" \
			--advertise-client-urls "http://127.0.0.1:$((b + i))" --listen-peer-urls "http://127.0.0.1:$((b + 100 + i))" \
			--initial-advertise-peer-urls "http://127.0.0.1:$((b + 100 + i))" --initial-cluster "${all#,}" --log-level error >"$dir/etcd$i.log" 2>&1 &
		npids+=($!); pids+=($!)
	done
	sleep 4
	etcd_row "etcd, put, 50 clients" 40000 --clients 50 --conns 50 put --key-size 16 --val-size 64 --key-space-size 100000
	local key=0123456789abcdef
	"$ETCD/etcdctl" --endpoints "$E" put $key "$(printf '%64s' x)" >/dev/null
	etcd_row "etcd, get, 50 clients" 60000 --clients 50 --conns 50 range "$key" --consistency l
	etcd_row "etcd, transaction of 2 puts, 50 clients" 30000 --clients 50 --conns 50 txn-put --txn-ops 2 --key-size 16 --val-size 64 --key-space-size 100000
	etcd_row "etcd, put, 1 client" 2000 --clients 1 --conns 1 put --key-size 16 --val-size 64 --key-space-size 100000
	stop; rm -rf "$dir"/etcd?
}
echo "# $(nproc) processors, $(uname -r), $("$co" version | head -1), $(redis-server --version | cut -d' ' -f3)"
for ((round = 1; round <= rounds; round++)); do
	echo "## round $round"
	for parts in 3 1; do
		start_cluster $parts $((15000 + parts * 1000 + round * 10)) 3
		b=$((15000 + parts * 1000 + round * 10))
		A=127.0.0.1:$((b+1)),127.0.0.1:$((b+2)),127.0.0.1:$((b+3)); C=127.0.0.1:$((b+101)),127.0.0.1:$((b+102)),127.0.0.1:$((b+103))
		row "3 nodes, $parts partition(s), SET" $N -a $A --command set
		row "3 nodes, $parts partition(s), SET, cluster" $N -a $C --cluster --command set
		row "3 nodes, $parts partition(s), SET, pipeline 16" 800000 -a $A --command set -P 16
		row "3 nodes, $parts partition(s), SET, p. 16, cluster" 800000 -a $C --cluster --command set -P 16
		row "3 nodes, $parts partition(s), GET" $N -a $A --command get
		row "3 nodes, $parts partition(s), GET, cluster" $N -a $C --cluster --command get
		row "3 nodes, $parts partition(s), SET, 1 connection" 5000 -a $A --command set -c 1
		row "3 nodes, $parts partition(s), SET, 1 conn., cluster" 5000 -a $C --cluster --command set -c 1
		if [ $parts = 3 ]; then
			load_row "3 nodes, one SET" 100000 -span 0 -sets 1
			load_row "3 nodes, MULTI of 2 SETs, in 1 partition" 60000 -span 1
			load_row "3 nodes, MULTI of 2 SETs, in 2 partitions" 30000 -span 2
			load_row "3 nodes, MULTI of 3 SETs, in 3 partitions" 20000 -span 3 -sets 3
			load_row "3 nodes, the same on 10 keys, in 1" 30000 -span 1 -hot 10
			load_row "3 nodes, the same on 10 keys, in 2" 5000 -span 2 -hot 10
		fi
		stop
	done
	start_cluster 3 $((14000 + round * 10)) 1
	row "1 node alone, SET" $N -a 127.0.0.1:$((14001 + round * 10)) --command set
	stop
	npids=(); redis 16001; sleep 1
	row "redis-server alone, SET" $N -a 127.0.0.1:16001 --command set
	redis 16002 --replicaof 127.0.0.1 16001; redis 16003 --replicaof 127.0.0.1 16001
	for _ in $(seq 100); do [ "$(redis-cli -p 16001 info replication | grep -c state=online)" = 2 ] && break; sleep 0.2; done
	A=127.0.0.1:16001
	load_row "redis 1+2, SET then WAIT 1" $N -wait -sets 1
	load_row "redis 1+2, 16 SETs then WAIT 1" 800000 -wait -sets 16
	load_row "redis 1+2, SET then WAIT 1, 1 connection" 5000 -wait -sets 1 -c 1
	stop; rm -rf "$dir"/r1600*
	if [ -n "${ETCD:-}" ]; then etcd "$round"; fi
done
