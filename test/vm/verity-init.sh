#!/bin/busybox sh
# PID 1 of the initramfs: the modules, the disk with the system under test, and over to it.
export PATH=/bin
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
for module in $($bb cat /modules/order); do
  $bb insmod /modules/$module.ko || echo "@@fault insmod $module"
done
$bb mount -t ext4 -o ro /dev/vda /root || echo '@@fault mount /dev/vda'
$bb mount --move /dev /root/dev
exec $bb switch_root /root /bin/sh /guest/verity-steps.sh
