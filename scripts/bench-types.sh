#!/usr/bin/env bash
# Measures commands on each data type with redis-benchmark: redis-server with
# appendfsync always, one Coterie node, and three, on this machine in one run.
# Prints one line each: operations a second and CPU of all servers for one.
# Usage: scripts/bench-types.sh [requests]
set -euo pipefail
cd "$(dirname "$0")/.."
N=${1:-100000}
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
go build -o "$dir/coterie" ./cmd/coterie

ticks() { local s=0 p a; for p in "${pids[@]}"; do a=($(cut -d')' -f2 "/proc/$p/stat")); s=$((s + a[11] + a[12])); done; echo $s; }
stop() { kill "${pids[@]}"; wait "${pids[@]}" 2>/dev/null || true; pids=(); }
row() { # name port command...
	local name=$1 port=$2 t0 t1; shift 2
	t0=$(ticks)
	redis-benchmark -p "$port" -n "$N" -r 100000 -c 50 --csv "$@" >"$dir/out" 2>/dev/null
	t1=$(ticks)
	awk -F'","' -v name="$name" -v n="$N" -v t=$((t1 - t0)) 'END {printf "  %-28s %8.0f/s  p50 %6.2f ms  %6.1f us CPU/op\n", name, $2, $5, t*10000/n}' "$dir/out"
}
rows() { # port
	local p=$1
	row "SET" "$p" SET key:__rand_int__ "$V"
	row "INCR" "$p" INCR n:__rand_int__
	row "LPUSH, 1 list" "$p" LPUSH list "$V"
	row "RPOP, 1 list" "$p" RPOP list
	row "SADD, 1 set" "$p" SADD set member:__rand_int__
	row "HSET, 1 hash" "$p" HSET hash field:__rand_int__ "$V"
	row "ZADD, 1 sorted set" "$p" ZADD zset __rand_int__ member:__rand_int__
	row "ZRANGE of 10, 1 sorted set" "$p" ZRANGE zset 5000 5009
	row "ZRANK, 1 sorted set" "$p" ZRANK zset member:__rand_int__
	row "XADD MAXLEN ~ 10000" "$p" XADD stream MAXLEN '~' 10000 '*' field "$V"
	redis-cli -p "$p" XGROUP CREATE stream g 0 MKSTREAM >/dev/null
	row "XREADGROUP NOACK COUNT 1" "$p" XREADGROUP GROUP g c COUNT 1 NOACK STREAMS stream '>'
	row "EVAL, GET then SET" "$p" EVAL "local v = redis.call('get', KEYS[1]) redis.call('set', KEYS[1], (tonumber(v) or 0) + 1) return v" 1 s:__rand_int__
}
V=$(printf '%64s' x | tr ' ' v)

echo "# $(nproc) processors, $("$dir/coterie" version | head -1), $(redis-server --version | cut -d' ' -f3), $N requests, 50 connections"
echo "redis-server, appendfsync always"
mkdir "$dir/redis"
redis-server --port 18001 --dir "$dir/redis" --save "" --appendonly yes --appendfsync always >"$dir/redis.log" 2>&1 & pids+=($!)
sleep 1; rows 18001; stop
echo "one Coterie node"
"$dir/coterie" start --data-dir "$dir/one" --listen 127.0.0.1:18011 --peer-listen 127.0.0.1:18012 --http-listen off >"$dir/one.log" 2>&1 & pids+=($!)
sleep 2; rows 18011; stop
echo "three Coterie nodes, clients at one"
for i in 1 2 3; do
	join=(); [ $i -gt 1 ] && join=(--join 127.0.0.1:18122)
	"$dir/coterie" start --data-dir "$dir/three$i" --listen 127.0.0.1:1811$i --peer-listen 127.0.0.1:$((18121 + i)) --http-listen off "${join[@]}" >"$dir/three$i.log" 2>&1 & pids+=($!)
	[ $i = 1 ] && sleep 1
done
sleep 5; rows 18111; stop
