#!/bin/sh
# The README promises two commands. Both must be tasks of the Makefile; the first is run here as written
# (the second is what calls this script) and must show programs RUNNING.
set -eu
cd "$(dirname "$0")/.."
commands=$(sed -n '/<!-- two-commands -->/,/<!-- end -->/p' README.md | grep -E '^make [a-z-]+$')
if [ "$commands" != "make run
make test" ]; then
	echo "README.md does not name exactly 'make run' and 'make test' between its markers, but:" >&2
	echo "$commands" >&2
	exit 1
fi
out=$(make --no-print-directory run 2>&1) || { echo "$out"; exit 1; }
echo "$out"
programs=$(grep -c '^\[program:' examples/quickstart/supervisord.conf)
running=$(echo "$out" | grep -c ' RUNNING ')
if [ "$running" -lt "$programs" ]; then
	echo "make run shows $running of at least $programs programs RUNNING" >&2
	exit 1
fi
