#!/bin/sh
# overlay.sh GROUP DIR LOWER INIT - boots INIT as process 1 of a machine of its own, whose root is LOWER with all changes in
# DIR/upper. GROUP is a cgroup2 directory for it. Everything ends with this process.
set -eu
if [ "$1" != inside ]; then
	echo $$ >"$1/cgroup.procs"
	exec unshare --mount --uts --ipc --net --cgroup --pid --fork --kill-child --propagation private sh "$0" inside "$2" "$3" "$4"
fi
dir=$2
init=$4
mkdir -p "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay overlay -o "lowerdir=$3,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
cd "$dir/root"
mkdir -p old
mount -t proc proc proc
# Every boot has an id of its own; the settings of the host's kernel are not to be touched.
cat /proc/sys/kernel/random/uuid >"$dir/boot_id"
mount --bind proc/sys proc/sys
mount --bind "$dir/boot_id" proc/sys/kernel/random/boot_id
mount -o remount,bind,ro proc/sys
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 dev dev
for d in null zero full random urandom tty; do
	: >"dev/$d"
	mount --bind "/dev/$d" "dev/$d"
done
: >"$dir/console"
: >dev/console
mount --bind "$dir/console" dev/console
mkdir dev/shm dev/pts
ln -s /proc/self/fd dev/fd
hostname upkeep-test
pivot_root . old
umount -l /old
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$init" <>/dev/console >&0 2>&1
