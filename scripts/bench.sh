#!/bin/sh
# bench.sh PROGRAM [FLAG...] - the benchmark with the original as the base, when it is installed.
set -eu
bench=$1
shift
if [ -x "$REF_D" ] && [ -x "$REF_CTL" ]; then
	set -- -system "original=$REF_D,$REF_CTL" "$@"
else
	echo "no $REF_D: measuring without a base (apt-get install supervisor)"
fi
exec "$bench" "$@" -system "upkeep=$SUPERVISORD,$SUPERVISORCTL"
