#!/bin/sh
# chaos-short.sh CHAOS DAEMON OTHER - the size for every change; as root also as an ordinary user and as process 1 of
# its own namespaces. A run that could not be judged (status 2: the machine was too busy for the census) is no result
# and is made once more.
set -u
chaos=$1
daemon=$2
other=$3
run() {
	for try in 1 2; do
		"$chaos" -daemon "$daemon" -other "$other" "$@" && return 0
		status=$?
		[ "$status" -eq 2 ] && [ "$try" -eq 1 ] || return "$status"
		echo "not judged; once more"
	done
}
run -role manager,keeper,spawner,upgrade -n 5 -programs 16 || exit
[ "$(id -u)" -eq 0 ] || exit 0
run -user -role manager,keeper -n 3 -programs 8 || exit
if unshare --pid --mount --fork true 2>/dev/null; then
	run -pid1 -role manager,upgrade -n 3 -programs 8 || exit
else
	echo "SKIP -pid1: new process and mount name spaces are not permitted here"
fi
