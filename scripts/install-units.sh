#!/bin/sh
# install-units.sh DESTDIR PREFIX - the units of systemd and the SysV script. Nothing is enabled or started. A file that cannot
# be put into its place is a failure of the whole.
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
# One instance for each account: systemctl enable upkeep@ACCOUNT, usrsvcd@ACCOUNT.
put 0644 upkeep@.service /etc/systemd/system/upkeep@.service
put 0644 usrsvcd@.service /etc/systemd/system/usrsvcd@.service
# For a user's own systemd: systemctl --user enable usrsvcd.
put 0644 usrsvcd.service /etc/systemd/user/usrsvcd.service
