#!/bin/sh
# install-python.sh install|uninstall DESTDIR [FOLDER] - the modules of contrib/python, into the folder for packages of
# python3 unless another one is named. Modules of the original that are there already are left alone.
set -eu
verb=$1
source=$(cd "$(dirname "$0")/../contrib/python/supervisor" && pwd)
folder=${3:-}
[ -n "$folder" ] || folder=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
target=$2$folder/supervisor
ours() { grep -q 'as part of upkeep' "$target/__init__.py" 2>/dev/null; }
if [ -e "$target" ] && ! ours; then
	[ "$verb" = uninstall ] && exit 0
	echo "$target belongs to another package; name a folder with PYTHONDIR=" >&2
	exit 1
fi
case $verb in
install)
	install -d -m 0755 "$target"
	install -m 0644 "$source"/*.py "$target"
	echo "$target"
	;;
uninstall)
	if ours; then rm -rf "$target"; fi
	;;
*)
	echo "install or uninstall?" >&2
	exit 2
	;;
esac
