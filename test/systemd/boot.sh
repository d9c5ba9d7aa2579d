#!/bin/sh
# boot.sh GROUP ROOT - makes ROOT a machine of its own and boots systemd in it. GROUP is a cgroup2 directory for it.
# ROOT has etc, opt and var; the rest is made here. Everything ends with this process.
set -eu
if [ "$1" != inside ]; then
	echo $$ >"$1/cgroup.procs"
	exec unshare --mount --uts --ipc --net --cgroup --pid --fork --kill-child --propagation private sh "$0" inside "$2"
fi
root=$2
cd "$root"
mount --bind "$root" "$root"
cd "$root"
mkdir -p usr proc sys dev run tmp root old
mount --bind /usr usr
mount -o remount,bind,ro usr
for d in bin sbin lib lib32 lib64 libx32; do
	if [ -L "/$d" ]; then
		ln -sfn "$(readlink "/$d")" "$d"
	elif [ -d "/$d" ]; then
		mkdir -p "$d"
		mount --bind "/$d" "$d"
	fi
done
mount -t proc proc proc
# Every boot has an id of its own; the settings of the host's kernel are not to be touched.
cat /proc/sys/kernel/random/uuid >boot_id
mount --bind proc/sys proc/sys
mount --bind boot_id proc/sys/kernel/random/boot_id
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 dev dev
for d in null zero full random urandom tty; do
	: >"dev/$d"
	mount --bind "/dev/$d" "dev/$d"
done
: >console
: >dev/console
mount --bind console dev/console
mkdir dev/shm dev/pts
ln -s /proc/self/fd dev/fd
hostname upkeep-test
pivot_root . old
umount -l /old
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	/usr/lib/systemd/systemd --log-target=console --show-status=no <>/dev/console >&0 2>&1
