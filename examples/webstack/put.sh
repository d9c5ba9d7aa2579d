#!/bin/sh
# put.sh DIRECTORY - lays the example out below an empty directory, with the directory's name and the ports
# filled in. HTTP_PORT (nginx, 18080), REDIS_PORT (16379) and WEB_PORT (1809: the first digits of the web
# processes' ports 18090, 18091, 18092) can be set. Everything listens on loopback only.
set -eu
[ $# = 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/run" "$1/log" "$1/data" "$1/etc/supervisor/conf.d" "$1/app"
root=$(cd "$1" && pwd)
(cd "$here" && find etc app -type f -name '*.conf' -o -type f -name '*.py') | while read -r file; do
	sed -e "s|@ROOT@|$root|g" -e "s|@HTTP_PORT@|${HTTP_PORT:-18080}|g" \
		-e "s|@REDIS_PORT@|${REDIS_PORT:-16379}|g" -e "s|@WEB_PORT@|${WEB_PORT:-1809}|g" \
		"$here/$file" >"$root/$file"
done
