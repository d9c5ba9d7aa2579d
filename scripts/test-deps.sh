#!/bin/sh
# Installs what the tests use, on Debian and as root; elsewhere it says what is missing, and the tests
# concerned skip with that reason. No service is started by the installation.
set -eu
missing=""
need() { # command package
	if ! command -v "$1" >/dev/null 2>&1 && [ ! -x "$1" ] && [ ! -e "$1" ]; then
		missing="$missing $2"
	fi
}
need git git
need gcc gcc
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
need /usr/bin/python3 python3
need /usr/bin/supervisord supervisor
need /usr/lib/python3/dist-packages/configobj python3-configobj
need strace strace
need mmdebstrap mmdebstrap
need nginx nginx-light
need redis-server redis-server
need unshare util-linux
need /usr/lib/systemd/systemd systemd
if [ -z "$missing" ]; then
	echo "nothing is missing"
	exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "not installed (not root, or no apt-get):$missing"
	echo "the tests that need them are skipped"
	exit 0
fi
echo "installing:$missing"
policy=/usr/sbin/policy-rc.d
made=0
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	made=1
fi
trap '[ "$made" = 0 ] || rm -f "$policy"' EXIT
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update </dev/null || echo "apt-get update failed; trying with the lists at hand"
# shellcheck disable=SC2086
apt-get -qq install -y --no-install-recommends $missing </dev/null >/dev/null
echo "installed"
