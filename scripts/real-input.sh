#!/usr/bin/env bash
# Real input, end to end: a Debian package index goes in through redis-cli
# --pipe as a hash per package and one SET of several MB; a node that leads a
# partition is killed in the middle and started again; another node gives
# everything back through SCAN, HGETALL and GET, equal to the source by digest.
# Commands that the kill left without a certain answer are sent again: HSET
# and SET with the same arguments change nothing the second time.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
declare -A pid
trap 'kill "${pid[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
go build -o "$dir/coterie" ./cmd/coterie
go build -o "$dir/realinput" ./scripts/realinput
apt-cache dumpavail >"$dir/index"
"$dir/realinput" resp <"$dir/index" >"$dir/commands"
echo "index: $(stat -c %s "$dir/index") bytes, $(grep -ac '^Package:' "$dir/index") records"

start() {
	local i=$1; shift
	"$dir/coterie" start --data-dir "$dir/n$i" --listen 127.0.0.1:1770$i --peer-listen 127.0.0.1:1780$i \
		--http-listen 127.0.0.1:1790$i "$@" >>"$dir/log$i" 2>&1 &
	pid[$i]=$!
}
start 1; sleep 1
start 2 --join 127.0.0.1:17801
start 3 --join 127.0.0.1:17801
sleep 4
load() { redis-cli -p 17701 --pipe --pipe-timeout 60 <"$dir/commands" 2>&1 | grep -a "errors:\|rror" | tail -1; }
( load >"$dir/load1" ) & loading=$!
sleep 0.7
kill -9 "${pid[2]}"; echo "node 2 killed while loading"
wait $loading || true
echo "first load: $(cat "$dir/load1")"
start 2
for round in 2 3 4; do
	result=$(load); echo "load $round: $result"
	[[ $result == *"errors: 0,"* ]] && break
done
"$dir/realinput" check 127.0.0.1:17703 <"$dir/index"
echo "equal: what went in at node 1 came back from node 3"
