#!/bin/sh
# quickstart.sh SUPERVISORD SUPERVISORCTL - runs examples/quickstart in a scratch directory until every
# program is RUNNING, shows the status and shuts it down.
set -eu
d=$1
ctl=$2
src=$(cd "$(dirname "$0")/../examples/quickstart" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/upkeep-quickstart.XXXXXX")
conf=$work/supervisord.conf
pid=""
cleanup() {
	if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
		kill -TERM "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cp -R "$src/." "$work"

echo "\$ supervisord -n -c supervisord.conf      (in $work)"
"$d" -n -c "$conf" >"$work/console.log" 2>&1 </dev/null &
pid=$!
n=0
until "$ctl" -c "$conf" status >"$work/status" 2>&1 && [ -s "$work/status" ] && ! grep -vq ' RUNNING ' "$work/status"; do
	n=$((n + 1))
	if [ "$n" -gt 150 ] || ! kill -0 "$pid" 2>/dev/null; then
		echo "the quickstart did not come up:" >&2
		cat "$work/status" "$work/console.log" >&2
		exit 1
	fi
	sleep 0.2
done
echo "\$ supervisorctl status"
cat "$work/status"
echo "\$ supervisorctl tail clock"
"$ctl" -c "$conf" tail clock | tail -n 3
echo "\$ supervisorctl shutdown"
"$ctl" -c "$conf" shutdown
if wait "$pid"; then
	pid=""
	echo "supervisord has ended, and its programs with it"
else
	code=$?
	pid=""
	echo "supervisord ended with status $code" >&2
	cat "$work/console.log" >&2
	exit 1
fi
