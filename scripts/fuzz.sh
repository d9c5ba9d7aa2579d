#!/bin/sh
# fuzz.sh TIME - runs every fuzz target of the tree for TIME each.
set -u
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${1:-5s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
count=0
failed=0
for dir in $(git ls-files --cached --others --exclude-standard '*_test.go' 2>/dev/null || find . -name '*_test.go'); do
	grep -q '^func Fuzz' "$dir" 2>/dev/null && dirname "$dir"
done | sort -u >"$out.dirs"
while read -r dir; do
	# A package that does not compile is a failure, not a package without targets.
	if ! $go test -list '^Fuzz' "./$dir" >"$out" 2>&1; then
		cat "$out"
		failed=$((failed + 1))
		continue
	fi
	targets=$(grep '^Fuzz' "$out")
	for target in $targets; do
		count=$((count + 1))
		echo "fuzz ./$dir $target ($time)"
		for try in 1 2; do
			$go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$dir" >"$out" 2>&1 </dev/null && break
			# The fuzzer may report its own deadline as a failure; only an input that it kept counts at once.
			if [ "$try" = 1 ] && grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input' "$out"; then
				echo "  the fuzzer ran into its own deadline: once more"
				continue
			fi
			cat "$out"
			failed=$((failed + 1))
			break
		done
	done
done <"$out.dirs"
rm -f "$out.dirs"
echo "fuzz: $count targets, $failed failed"
[ "$failed" = 0 ]
