#!/bin/sh
# Says in one line what is wrong with the installed Go, or nothing.
set -eu
go=${GO:-go}
want=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$(dirname "$0")/../go.mod")
if ! command -v "$go" >/dev/null 2>&1; then
	echo "upkeep needs Go $want or newer, and there is no '$go' in PATH (https://go.dev/dl)" >&2
	exit 1
fi
have=$(GOTOOLCHAIN=local "$go" env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
oldest=$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)
if [ "$oldest" != "$want" ]; then
	echo "upkeep needs Go $want or newer, and $(command -v "$go") is Go $have (https://go.dev/dl)" >&2
	exit 1
fi
