#!/bin/sh
# steps.sh TARGET... - runs make targets one after the other, says which one runs, stops at the first
# failure and ends with a table of what passed and how long it took.
set -u
cd "$(dirname "$0")/.."
begin=$(date +%s)
total=$#
n=0
table=""
for step in "$@"; do
	n=$((n + 1))
	what=$(sed -n "s/^$step:.*## //p" Makefile)
	printf '\n==== %d/%d %s: %s\n' "$n" "$total" "$step" "$what"
	t=$(date +%s)
	if ! make --no-print-directory "$step"; then
		printf '%s\nFAIL\t%s\t%ds\n' "$table" "$step" $(($(date +%s) - t))
		printf 'FAIL: step %d of %d (%s); run it alone with: make %s\n' "$n" "$total" "$step" "$step"
		exit 1
	fi
	table=$(printf '%s\nok\t%s\t%ds' "$table" "$step" $(($(date +%s) - t)))
done
printf '%s\n' "$table"
printf 'PASS: %d steps, 0 failed, %ds\n' "$total" $(($(date +%s) - begin))
