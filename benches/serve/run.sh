#!/bin/sh
# Measures `cofferdam serve` on a SQLite file: reads and writes a second by 64 connections through a TCP port with a token, in turns.
# Needs wrk (as root on Debian: apt-get install wrk). Ends what it starts, and leaves no file.
#
#     benches/serve/run.sh [COMMAND [SECONDS]]        # ./target/release/cofferdam, and 6
set -eu
command=${1:-target/release/cofferdam}
seconds=${2:-6}
scripts=$(dirname "$0")
[ -x "$command" ] || { echo "there is no $command: build it with cargo build --release -p cofferdam-cli" >&2; exit 2; }
command -v wrk >/dev/null || { echo "wrk is missing: as root on Debian, apt-get install wrk" >&2; exit 2; }

folder=$(mktemp -d)
server=
end() {
  [ -z "$server" ] || kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 1' INT TERM HUP

TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export TOKEN
(umask 077 && echo "$TOKEN" >"$folder/token")
mkfifo "$folder/where"
DATABASE_TYPE=sqlite DATABASE_PATH="$folder/bot.db" "$command" serve --listen 127.0.0.1:0 --token-file "$folder/token" \
  --admin-socket "$folder/admin.sock" --json >"$folder/where" &
server=$!
address=
# A document once it serves, or nothing if it could not start and has said why.
while read -r line; do
  case $line in
    *'"operations"'*) address=$(echo "$line" | cut -d'"' -f4) ;;
    '}') break ;;
  esac
done <"$folder/where"
[ -n "$address" ] || exit 1

load() {
  wrk -t1 -c64 -d"$2s" --latency -s "$scripts/$1.lua" "$address"
}

load write 5 >/dev/null
for round in 1 2 3; do
  for kind in read write; do
    load $kind "$seconds" >"$folder/result"
    awk -v kind=$kind -v round=$round '
      /50%/ { half = $2 } /99%/ { most = $2 } /Requests\/sec/ { rate = $2 } /Non-2xx|Socket errors/ { bad = bad " " $0 }
      END { printf "%s %-5s %9.0f/s   p50 %-8s p99 %-8s%s\n", round, kind, rate, half, most, bad; exit bad != "" }' "$folder/result"
  done
done
