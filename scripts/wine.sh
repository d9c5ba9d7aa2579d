#!/bin/sh
# wine.sh [PACKAGE...] - runs the tests of the Windows parts, built for Windows, under Wine. Wine 10 or later is needed for
# programs made by Go: a Debian that has it is built once, in UPKEEP_WINE_ROOT, by default in the cache directory of the user
# (some 2 GB). Every test runs in name spaces of its own over that root, which stays as it is, and nothing of it is left.
#
# Not to be had under Wine are console control events: what asks a program to end there ends it.
#
# wine.sh exec BINARY ARGUMENT... runs one program; it is what `go test -exec` is given.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${UPKEEP_WINE_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/upkeep/wine}

# inside COMMAND...: in name spaces that end with the command.
inside() { unshare --mount --pid --ipc --fork --kill-child "$@"; }

if [ "${1:-}" = exec ]; then
	shift
	binary=$(realpath "$1")
	shift
	export root binary
	exec unshare --mount --pid --ipc --fork --kill-child sh -euc '
		from=$PWD
		mount --make-rprivate /
		mount -t tmpfs tmpfs /mnt
		mkdir /mnt/upper /mnt/work /mnt/root
		mount -t overlay overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
		mount -t proc proc /mnt/root/proc
		mount --rbind /dev /mnt/root/dev
		mkdir /mnt/root/test
		cp "$binary" /mnt/root/test/t.exe
		if [ -d "$from/testdata" ]; then cp -r "$from/testdata" /mnt/root/test/; fi
		exec chroot /mnt/root /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 XDG_RUNTIME_DIR=/tmp \
			WINEPREFIX=/root/.wine WINEDEBUG="${WINEDEBUG:--all}" sh -c "cd /test && exec wine ./t.exe \"\$@\"" sh "$@"
	' sh "$@"
fi

cd "$here/.."
go=${GO:-go}
skip() {
	echo "SKIP wine: $1"
	exit 0
}
[ "$(uname -s)" = Linux ] || skip "this system is not Linux"
[ "$(id -u)" = 0 ] || skip "not root"
inside true 2>/dev/null || skip "new mount and process name spaces are not permitted here"

if [ ! -e "$root/.upkeep-ready" ]; then
	command -v mmdebstrap >/dev/null 2>&1 || skip "mmdebstrap is not installed"
	new=$root.$$
	log=$root.log
	mkdir -p "$(dirname "$root")"
	trap 'rm -rf --one-file-system "$new"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# The mirror that this machine uses for Debian itself, so that a local one is honoured.
	mirror=${WINE_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
		sed -nE 's|^URIs:[[:space:]]*([^[:space:]]*/debian/?)$|\1|p; s|^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]*/debian/?)[[:space:]].*|\2|p' |
		head -n 1)}
	echo "building $root"
	if ! mmdebstrap --variant=minbase --include=wine,wine64 trixie "$new" ${mirror:+"$mirror"} \
		>"$log" 2>&1 </dev/null; then
		tail -n 5 "$log"
		skip "no Debian with Wine could be built (no network?); all that was said is in $log"
	fi
	if ! new=$new inside sh -euc '
		mount --make-rprivate /
		mount -t proc proc "$new/proc"
		mount --rbind /dev "$new/dev"
		exec chroot "$new" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 XDG_RUNTIME_DIR=/tmp \
			WINEPREFIX=/root/.wine WINEDEBUG=-all sh -euc "wine wineboot -i; wineserver -w"
	' >>"$log" 2>&1 </dev/null; then
		tail -n 5 "$log"
		echo "Wine cannot be set up; all that was said is in $log" >&2
		exit 1
	fi
	touch "$new/.upkeep-ready"
	mv "$new" "$root"
	trap - EXIT
fi

# What is special on Windows, and green there.
if [ $# -eq 0 ]; then
	set -- ./internal/sys/reactor ./internal/sys/pipe ./internal/sys/procfd ./internal/sys/spawn ./internal/sys/logfile \
		./internal/sys/command ./internal/sys/statefile ./internal/sys/clock ./internal/sys/home ./internal/sys/local \
		./internal/sys/peer ./internal/sys/daemon ./internal/engine/activity \
		./internal/engine/timeindex ./internal/engine/launch \
		./test/windows/...
fi
CGO_ENABLED=0 GOOS=windows exec $go test -p 1 -count=1 -timeout 10m -exec "$here/wine.sh exec" "$@"
