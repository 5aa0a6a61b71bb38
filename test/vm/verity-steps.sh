#!/bin/sh
# What the guest does, step by step; test/vm/verity.test.ts judges what the steps printed.
# /dev/vda: the system, read-only, with the inputs in /guest. /dev/vdb: an empty ext4 with fs-verity.
export PATH=/bin HOME=/tmp
echo
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t ext4 /dev/vdb /store
# Kernel messages would get between the lines of the steps; the last step prints them.
dmesg -n 1
mkdir /tmp/a /tmp/b /tmp/r
. /guest/victims

# Prints a step's stdout, stderr and exit code between markers.
step() {
  name=$1
  shift
  echo "@@step $name"
  "$@" >/tmp/out 2>/tmp/err
  code=$?
  cat /tmp/out
  echo
  echo @@stderr
  head -c 4000 /tmp/err
  echo
  echo "@@exit $code"
}

coldseal() {
  node /app/dist/coldseal.mjs "$@"
}

# The image's digest in the JSON document that the last step printed.
digest_of_build() {
  sed -n 's/.*"digest": *"\([0-9a-f]*\)".*/\1/p' /tmp/out | head -n 1
}

# Reads a file and says whether what came out of it is right as far as it goes.
read_prefix() {
  cat "$1" >/tmp/got
  code=$?
  length=$(stat -c %s /tmp/got)
  echo "$length of $(stat -c %s "$2") bytes"
  head -c "$length" "$2" | cmp - /tmp/got || echo 'wrong bytes'
  return $code
}

# Changes the byte at an offset of a file of /dev/vdb on the disk itself, under the mounted file system.
change_byte() {
  block=$(debugfs -R "bmap $1 $(($2 / 4096))" /dev/vdb 2>/tmp/debugfs)
  [ "$block" -gt 0 ] || return 1
  at=$((block * 4096 + $2 % 4096))
  echo "$1 $2 is at $at: $(dd if=/dev/vdb bs=1 count=1 skip=$at 2>/dev/null | od -An -tx1)"
  printf '\377' | dd of=/dev/vdb bs=1 seek=$at conv=notrunc,fsync 2>/dev/null
}

# A file system whose blocks are smaller than those of fs-verity.
small_blocks() {
  truncate -s 8M /store/small.img
  /bin/mke2fs -q -t ext4 -b 1024 -O verity /store/small.img && mount -o loop /store/small.img /tmp/r &&
    coldseal doctor /tmp/r --json
  umount /tmp/r
}

drop_caches() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
}

step doctor coldseal doctor /store --json --require=verity

step doctor-small small_blocks

step build coldseal image build /guest/tree /store/a.cfs --digest-store=/store/objects --json
digest=$(digest_of_build)
step build-512 coldseal image build /guest/tree /store/b.cfs --hash=sha512 \
  --digest-store=/store/objects512 --json
digest512=$(digest_of_build)
step measure fsverity measure /store/objects/*/*
step measure-512 fsverity measure /store/objects512/*/*

step mount-unsealed coldseal mount /store/a.cfs /tmp/a --basedir=/store/objects \
  --digest="$digest" --verity=require
step seal fsverity enable /store/a.cfs
step seal-512 fsverity enable --hash-alg=sha512 /store/b.cfs
step digest coldseal image digest /store/a.cfs /store/objects/*/* --json
step measure-image fsverity measure /store/a.cfs /store/b.cfs

step mount-wrong coldseal mount /store/a.cfs /tmp/a --basedir=/store/objects \
  --digest=0000000000000000000000000000000000000000000000000000000000000000 --verity=require
step mount coldseal mount /store/a.cfs /tmp/a --basedir=/store/objects --digest="$digest" \
  --verity=require --json
step contents diff -r /guest/tree /tmp/a
step mount-512 coldseal mount /store/b.cfs /tmp/b --basedir=/store/objects512 \
  --digest="$digest512" --verity=require --json
step contents-512 diff -r /guest/tree /tmp/b
step write-object sh -c "echo changed >>/store/objects/$DISK"
step unmount umount /tmp/b

# Copies have no fs-verity; storing the same files again turns it on.
cp -r /store/objects /store/again
step measure-copies fsverity measure /store/again/*/*
step store-copies coldseal image build /guest/tree --print-digest-only \
  --digest-store=/store/again --json
step measure-again fsverity measure /store/again/*/*

step release coldseal release /guest/bootset/BOOTSET.yaml --no-disk -o /store/release
step verify coldseal verify /store/release --trust=/guest/bootset/keys/dev/root.cert.pem --json
step measure-images fsverity measure /store/release/images/*
image=$(ls -d /store/release/images/* | head -n 1)
step mount-release coldseal mount "$image" /tmp/r --basedir=/store/release/objects \
  --digest="$(basename "$image" .cfs)" --verity=require
step list-release find /tmp/r -type f -exec sha256sum {} +
umount /tmp/r

# Objects and bytes change under the mount, which is made anew so that nothing was opened before.
step remount sh -c "umount /tmp/a && node /app/dist/coldseal.mjs mount /store/a.cfs /tmp/a \
  --basedir=/store/objects --digest=$digest --verity=require"
cd /store/objects
mv "$COPY" /store/aside && cp /store/aside "$COPY"
rm "$OTHER" && cp /guest/other "$OTHER"
rm "$SEALED" && cp /guest/other "$SEALED"
step seal-other fsverity enable "$SEALED"
rm "$MISSING"
cd /
drop_caches
step change-object change_byte "/objects/$DISK" 5000
step change-image change_byte /a.cfs "$(strings -t d /store/a.cfs | sed -n "s/^ *\([0-9]*\) .*$NAME.*/\1/p")"
drop_caches
for victim in copy other sealed missing disk; do
  step "read-$victim" read_prefix "/tmp/a/victims/$victim" "/guest/tree/victims/$victim"
done
step read-whole read_prefix /tmp/a/big /guest/tree/big
step list-damaged ls /tmp/a/wide
step list-whole ls /tmp/a/victims
step store-repair coldseal store verify /store/objects --repair-from=/store/again --json
umount /tmp/a
object=$(cd /store/release/objects && ls -d */*)
step change-release change_byte "/release/objects/$object" 9000
drop_caches
step verify-damaged coldseal verify /store/release --trust=/guest/bootset/keys/dev/root.cert.pem
dmesg | grep -v ' audit: ' | tail -n 40 >/tmp/messages
step messages cat /tmp/messages
echo @@end
sync
umount /store
poweroff -f
