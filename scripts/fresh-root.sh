#!/bin/sh
# Builds a minimal Debian in a scratch directory, puts a copy of this tree and the machine's Go into it and
# runs `make run` and the short tests there: nothing but make and certificates may be needed. The module
# cache is lent read-only and the network is not used.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
skip() {
	echo "SKIP fresh-root: $1"
	exit 0
}
[ "$(uname -s)" = Linux ] || skip "this system is not Linux"
[ "$(id -u)" = 0 ] || skip "not root"
command -v mmdebstrap >/dev/null 2>&1 || skip "mmdebstrap is not installed"
unshare --mount --pid --fork true 2>/dev/null || skip "new mount and process name spaces are not permitted here"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/upkeep-fresh-root.XXXXXX")
root=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "making a minimal Debian"
suite=${FRESH_SUITE:-bookworm}
# The mirror that this machine uses for Debian itself, so that a local one is honoured.
mirror=${FRESH_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
	sed -nE 's|^URIs:[[:space:]]*([^[:space:]]*/debian/?)$|\1|p; s|^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]*/debian/?)[[:space:]].*|\2|p' |
	head -n 1)}
if ! mmdebstrap --quiet --variant=minbase --include=make,ca-certificates "$suite" "$root" \
	${mirror:+"$mirror"} >"$work/log" 2>&1 </dev/null; then
	cat "$work/log" >&2
	exit 1
fi

goroot=$($go env GOROOT)
modcache=$($go env GOMODCACHE)
$go mod download
mkdir -p "$root/src" "$root/usr/local/go" "$root/modcache" "$root/root/build"
{ git ls-files -z --cached --others --exclude-standard 2>/dev/null || find . -type f -not -path './bin/*' -print0; } |
	tar --null --files-from=- --ignore-failed-read --warning=no-failed-read -cf - 2>/dev/null | tar -xf - -C "$root/src"

cat >"$root/inside.sh" <<'INSIDE'
set -eu
cd /src
if command -v gcc git python3 curl; then
	echo "this root is not minimal" >&2
	exit 1
fi
make run
make test-short
INSIDE

echo "make run and the short tests in it"
GOROOT_HOST=$goroot MODCACHE_HOST=$modcache ROOT=$root unshare --mount --pid --fork --kill-child sh -c '
	set -eu
	mount --make-rprivate /
	mount --bind "$GOROOT_HOST" "$ROOT/usr/local/go"
	mount --bind "$MODCACHE_HOST" "$ROOT/modcache"
	mount -o remount,bind,ro "$ROOT/usr/local/go"
	mount -o remount,bind,ro "$ROOT/modcache"
	mount --rbind /dev "$ROOT/dev"
	mount -t proc proc "$ROOT/proc"
	exec chroot "$ROOT" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		GOMODCACHE=/modcache GOPROXY=off GOTOOLCHAIN=local GOCACHE=/root/build sh /inside.sh
' </dev/null
echo "fresh-root: passed"
