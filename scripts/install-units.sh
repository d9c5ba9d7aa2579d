#!/bin/sh
# install-units.sh DESTDIR PREFIX - the systemd unit and the SysV script. Nothing is enabled or started.
set -eu
cd "$(dirname "$0")/../packaging/units"
dest=$1
prefix=$2
put() { # mode source target
	mkdir -p "$(dirname "$dest$3")"
	sed "s|@BINDIR@|$prefix/bin|g" "$2" >"$dest$3"
	chmod "$1" "$dest$3"
	echo "$dest$3"
}
put 0644 supervisord.service /etc/systemd/system/supervisord.service
put 0755 supervisord.init /etc/init.d/supervisord
