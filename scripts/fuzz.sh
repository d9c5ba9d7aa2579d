#!/bin/sh
# fuzz.sh TIME - runs every fuzz target of the tree for TIME each, two packages at a time: a target keeps one processor busy.
# fuzz.sh TIME FOLDER - those of one package, whose test program is made once for all of its targets.
set -u
cd "$(dirname "$0")/.."
root=$PWD
go=${GO:-go}
time=${1:-3s}

# package FOLDER: what it prints is one piece, also beside another package.
package() {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	failed=0
	# A package that does not compile is a failure, not a package without targets.
	if ! $go test -c -vet=off -fuzz=. -o "$work/fuzz" "$1" >"$work/out" 2>&1 ||
		! corpus=$($go list -f "$($go env GOCACHE)/fuzz/{{.ImportPath}}" "$1") || ! cd "$1" ||
		! "$work/fuzz" -test.list '^Fuzz' >"$work/targets"; then
		printf 'fuzz %s\n%s\n' "$1" "$(cat "$work/out")"
		return 1
	fi
	report=""
	while read -r target; do
		begin=$(date +%s)
		# Without a bound it makes each input of interest smaller for up to a minute, and tries nothing new meanwhile.
		if ! "$work/fuzz" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" -test.fuzzcachedir "$corpus" \
			-test.fuzzminimizetime 10x -test.parallel 1 >"$work/out" 2>&1 </dev/null &&
			# The fuzzer may call the end of its time a failure: then this is all that it says, and it has kept no input.
			{ ! grep -qx ' *context deadline exceeded' "$work/out" || grep -q 'Failing input' "$work/out"; }; then
			report="$report$(cat "$work/out")
"
			failed=$((failed + 1))
		fi
		report="${report}fuzz $1 $target ($time, $(($(date +%s) - begin))s)
"
	done <"$work/targets"
	printf '%s' "$report"
	return "$failed"
}

if [ $# -gt 1 ]; then
	package "$2"
	exit
fi

out=$(mktemp)
trap 'rm -f "$out"' EXIT
for file in $(git ls-files --cached --others --exclude-standard '*_test.go' 2>/dev/null || find . -name '*_test.go'); do
	grep -q '^func Fuzz' "$file" 2>/dev/null && printf './%s\n' "$(dirname "${file#./}")"
done | sort -u | { xargs -P 2 -n 1 "$root/scripts/fuzz.sh" "$time"; echo "status $?"; } | tee "$out" | grep -v '^status '
count=$(grep -c '^fuzz .* (' "$out")
if grep -qx 'status 0' "$out"; then
	echo "fuzz: $count targets, 0 failed"
else
	echo "fuzz: $count targets, and some have failed: see above"
	exit 1
fi
