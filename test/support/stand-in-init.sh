#!/bin/busybox sh
# Stands in for the runtime: measures a few stages with the kernel's clock and reports a boot record as it would.
# `stand-in=WORD` of the command line chooses what goes wrong.
bb=/bin/busybox
now() {
  echo tick > /dev/kmsg
  $bb dmesg | $bb tail -n 1 | $bb sed 's/^\[ *\([0-9]*\)\.\([0-9]*\)\].*/\1\2000/; s/^0*//'
}
$bb mount -t devtmpfs dev /dev
t0=$(now)
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
case $($bb cat /proc/cmdline) in
  *stand-in=panic*) exit 1 ;;
  *stand-in=silent*) echo 'coldseal: VERIFY_STAND_IN: nothing to report' ; $bb poweroff -f ;;
  *stand-in=sleep*) echo 'zzz' ; $bb sleep 3600 ;;
esac
t1=$(now)
for module in $($bb cat /modules/order); do $bb insmod /modules/$module.ko; done
t2=$(now)
while ! [ -b /dev/vda3 ]; do $bb usleep 100; done
t3=$(now)
printf 'tried' | $bb dd of=/dev/vda3 conv=notrunc,fsync 2> /dev/null
t4=$(now)
$bb dd if=/dev/vda2 of=/dev/null bs=64k count=32 2> /dev/null
t5=$(now)
echo 'app: hello from the stand-in'
t6=$(now)
set -- $($bb cat /sys/block/vda/stat)
slot='"a"'; outcome=booted
attempt='{"slot":"a","reason":null}'
case $($bb cat /proc/cmdline) in
  *stand-in=refused*)
    slot=null; outcome=halt
    attempt='{"slot":"a","reason":{"code":"VERIFY_SIGNATURE","message":"not signed"}}' ;;
esac
port=
for each in /sys/class/virtio-ports/*; do
  [ "$($bb cat $each/name)" = coldseal.report ] && port=/dev/${each##*/}
done
case $($bb cat /proc/cmdline) in
  *stand-in=garbage*) $bb head -c 5000 /bin/busybox > $port ; $bb poweroff -f ;;
  *stand-in=flood*) $bb cat /dev/zero > $port ;;
esac
stage() { printf '{"name":"%s","startNs":%s,"endNs":%s}' "$@"; }
{
  printf '{"kind":"coldseal-boot-record","schema":1,"outcome":"%s","product":"demo","board":"b",' $outcome
  printf '"isProduction":false,"engine":"quickjs","kernel":"%s",' "$($bb uname -r)"
  printf '"clock":{"name":"CLOCK_BOOTTIME","beforeKernelNs":null,"counter":null},"stages":['
  stage setup $t0 $t1; printf ,; stage modules $t1 $t2; printf ,; stage find-store $t2 $t3; printf ,
  stage slot-state $t3 $t4; printf ,; stage 'verify a' $t4 $t5; printf ,; stage containers $t5 $t6
  printf '],"slot":%s,"attempts":[%s],"release":null,"images":[],' "$slot" "$attempt"
  printf '"containers":[{"name":"app","start":"early","reason":null,'
  printf '"startNs":%s,"startedNs":%s,"firstOutputNs":%s}],' $t5 $t5 $t6
  printf '"notes":[],"io":{"readRequests":%s,"readBytes":%s,' $1 $(($3 * 512))
  printf '"writeRequests":%s,"writeBytes":%s}}\n' $5 $(($7 * 512))
} > $port
$bb poweroff -f
