#!/bin/sh
# run.sh [DIRECTORY] - puts the example up (in a scratch directory when none is given), starts it, asks the
# web server a few times, shows the status, and shuts everything down. SUPERVISORD and SUPERVISORCTL choose
# the commands (default: those in PATH). KEEP=1 leaves it running and says how to go on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
d=${SUPERVISORD:-supervisord}
ctl=${SUPERVISORCTL:-supervisorctl}
port=${HTTP_PORT:-18080}
PATH=$PATH:/usr/sbin:/sbin
export PATH
for need in redis-server nginx /usr/bin/python3 "$d" "$ctl"; do
	command -v "$need" >/dev/null 2>&1 || { echo "$need is not installed" >&2; exit 1; }
done
scratch=""
if [ $# -gt 0 ]; then
	root=$1
else
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/webstack.XXXXXX")
	chmod 755 "$scratch"
	root=$scratch
fi
"$here/put.sh" "$root"
root=$(cd "$root" && pwd)
conf=$root/etc/supervisor/supervisord.conf
pid=""
cleanup() {
	if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
		kill -TERM "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	fi
	[ -z "$scratch" ] || rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$d" -n -c "$conf" >"$root/log/console" 2>&1 </dev/null &
pid=$!
n=0
until "$ctl" -c "$conf" status >"$root/status" 2>&1 && [ -s "$root/status" ] && ! grep -vq ' RUNNING ' "$root/status"; do
	n=$((n + 1))
	if [ "$n" -gt 150 ] || ! kill -0 "$pid" 2>/dev/null; then
		echo "it did not come up:" >&2
		cat "$root/status" "$root/log/console" "$root"/log/*.log >&2
		exit 1
	fi
	sleep 0.2
done
cat "$root/status"
for _ in 1 2 3; do
	/usr/bin/python3 -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen("http://127.0.0.1:%s/" % sys.argv[1], timeout=10).read().decode())' "$port"
done
if [ "${KEEP:-0}" = 1 ]; then
	pid=""
	scratch=""
	echo "running: $ctl -c $conf status; end it with: $ctl -c $conf shutdown"
	exit 0
fi
"$ctl" -c "$conf" restart 'app:*'
"$ctl" -c "$conf" shutdown
wait "$pid"
pid=""
echo "everything has ended"
