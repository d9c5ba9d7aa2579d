#!/bin/sh
# chaos-short.sh CHAOS DAEMON OTHER - the size for every change. A run that could not be judged (status 2: the machine
# was too busy for the census) is no result and is made once more.
set -u
run() { "$1" -daemon "$2" -other "$3" -role manager,keeper,spawner,upgrade -n 5 -programs 16; }
run "$@"
status=$?
if [ "$status" -eq 2 ]; then
	echo "not judged; once more"
	run "$@"
	status=$?
fi
exit "$status"
