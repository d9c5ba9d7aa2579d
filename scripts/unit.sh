#!/bin/sh
# unit.sh [FLAG...] - go test over everything, package beside package. Packages that fail are run once more, alone: what
# failed for want of a processor then passes, and what fails again is wrong. Both runs are shown.
set -u
cd "$(dirname "$0")/.."
# The race detector would have every process take a second to end: the test programs, and all that they start.
export GORACE="${GORACE:-atexit_sleep_ms=0}"
# To vet is a step of its own.
set -- -vet=off "$@"
out=$(mktemp)
trap 'rm -f "$out"' EXIT
# They wait half of their time: one package more than there are processors.
{ "$GO" test -p "$(($(getconf _NPROCESSORS_ONLN) + 1))" "$@" ./... 2>&1; echo $? >"$out.status"; } | tee "$out"
status=$(cat "$out.status")
rm -f "$out.status"
[ "$status" -eq 0 ] && exit 0
failed=$(sed -n 's/^FAIL[[:space:]]\{1,\}\([^[:space:]]*\/[^[:space:]]*\).*/\1/p' "$out" | sort -u)
n=$(printf '%s\n' "$failed" | grep -c .)
if [ "$n" -eq 0 ] || [ "$n" -gt 4 ]; then
	exit 1
fi
printf '\nonce more, one after the other: %s\n' "$(echo "$failed" | tr '\n' ' ')"
# shellcheck disable=SC2086 # package names have no spaces
exec "$GO" test -p 1 "$@" $failed
