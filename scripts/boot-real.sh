#!/bin/sh
# boot-real.sh - boots machines of their own with systemd, SysV init, OpenRC and cron, and has the product start with them.
# The root file systems are made once, in BOOT_ROOTS.
set -eu
cd "$(dirname "$0")/.."
skip() {
	echo "SKIP boot-real: $1"
	exit 0
}
[ "$(id -u)" = 0 ] || skip "not root"
command -v mmdebstrap >/dev/null 2>&1 || skip "mmdebstrap is not installed"
roots=${BOOT_ROOTS:-/var/tmp/upkeep-boot-roots}
mkdir -p "$roots"
finished() { # an unfinished one is made anew
	[ -e "$roots/$1.finished" ] || ! rm -rf "${roots:?}/$1"
}
if ! finished sysv; then
	echo "making a root file system with SysV init"
	mmdebstrap --quiet --variant=minbase \
		--include=sysvinit-core,sysv-rc,insserv,initscripts,orphan-sysvinit-scripts,cron,procps,login,passwd,util-linux \
		bookworm "$roots/sysv" </dev/null >"$roots/sysv.log" 2>&1 || skip "no root file system with SysV init: see $roots/sysv.log"
	: >"$roots/sysv.finished"
fi
if ! finished openrc; then
	echo "making a root file system with OpenRC"
	# Installed over a complete SysV root, or it stays half configured.
	cp -a "$roots/sysv" "$roots/openrc"
	printf '#!/bin/sh\nexit 101\n' >"$roots/openrc/usr/sbin/policy-rc.d"
	chmod 755 "$roots/openrc/usr/sbin/policy-rc.d"
	DEBIAN_FRONTEND=noninteractive chroot "$roots/openrc" sh -c 'apt-get -q update && apt-get -qy install openrc' \
		</dev/null >"$roots/openrc.log" 2>&1 || skip "no root file system with OpenRC: see $roots/openrc.log"
	: >"$roots/openrc.finished"
fi
UPKEEP_BOOT_ROOTS=$roots "${GO:-go}" test -count=1 -timeout 30m -v -run 'TestBoot|TestLogin|TestOtherInits|TestCron|TestServiceAccounts' ./test/systemd
