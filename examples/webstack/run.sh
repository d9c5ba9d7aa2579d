#!/bin/sh
# run.sh [DIRECTORY] - puts the example up (in a scratch directory when none is given), starts it, asks the
# web server a few times, shows the status, and shuts everything down. SUPERVISORD and SUPERVISORCTL choose
# the commands (default: those in PATH), HTTP_PORT, REDIS_PORT and WEB_PORT the ports (see put.sh; default:
# some that are free). KEEP=1 leaves it running and says how to go on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
d=${SUPERVISORD:-supervisord}
ctl=${SUPERVISORCTL:-supervisorctl}
PATH=$PATH:/usr/sbin:/sbin
export PATH
for need in redis-server nginx /usr/bin/python3 "$d" "$ctl"; do
	command -v "$need" >/dev/null 2>&1 || { echo "$need is not installed" >&2; exit 1; }
done
ports=$(/usr/bin/python3 - <<'PORTS'
import random, socket
def free(*ports):
    for port in ports:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
# Below the range that the system itself gives to outgoing connections.
first = random.sample(range(1200, 3100), 1900)
web = next(p for p in first if free(10 * p, 10 * p + 1, 10 * p + 2))
rest = [10 * p + 5 for p in first if p != web and free(10 * p + 5)][:2]
print(web, *rest)
PORTS
)
dir=${1:-}
# shellcheck disable=SC2086
set -- $ports
: "${WEB_PORT:=$1}" "${REDIS_PORT:=$2}" "${HTTP_PORT:=$3}"
export WEB_PORT REDIS_PORT HTTP_PORT
port=$HTTP_PORT
scratch=""
if [ -n "$dir" ]; then
	root=$dir
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
	if [ "$n" -gt 150 ] || grep -q ' FATAL ' "$root/status" || ! kill -0 "$pid" 2>/dev/null; then
		echo "it did not come up:" >&2
		tail -n 20 "$root/status" "$root/log/console" "$root"/log/*.log "$root"/log/*.err >&2
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
