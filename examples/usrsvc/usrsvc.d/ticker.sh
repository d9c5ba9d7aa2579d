#!/bin/sh
# ticker.sh SECONDS - says something every so many seconds, and touches a file to show that it is well.
set -eu
dir=$(cd "$(dirname "$0")" && pwd)
while :; do
	echo "$GREETING"
	: >"$dir/run/ticker.active"
	sleep "$1"
done
