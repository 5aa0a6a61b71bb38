#!/bin/sh
# PID 1 of the guest of test/vm/sealed-disk.test.ts: mounts the store of a flashable disk and asks the kernel about it.
export PATH=/bin
/bin/busybox mount -t devtmpfs dev /dev
mount -t proc proc /proc
dmesg -n 1
for module in $(cat /modules/order); do
  insmod /modules/$module.ko || echo "@@fault insmod $module"
done
echo "@@uptime $(cat /proc/uptime)"
mount -t ext4 -o ro,nosuid,nodev /dev/vda2 /store || echo '@@fault mount'
echo "@@uptime $(cat /proc/uptime)"
cd /store
for file in $(find . -type f); do
  echo "@@measured $file $(fsverity measure "$file" 2>&1)"
  echo "@@read $file $(cat "$file" 2>/tmp/err | wc -c) $(tail -n 1 /tmp/err)"
done
dmesg | grep -i -e verity -e ext4
echo @@end
poweroff -f
