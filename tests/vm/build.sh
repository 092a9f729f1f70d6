#!/bin/bash
# Debian's own kernel with camera modules and a small first file system, for machine.py to boot.
#
#     bash tests/vm/build.sh amd64|arm64 FOLDER        (20 to 40 s, 350 MB; FOLDER outside the checkout)
#
# amd64 runs this machine's own files; its cameras are v4l2loopback, compiled here, and vivid.
# arm64 runs FOLDER/root with the wheels in FOLDER/site, which benchmarks/arm/setup.sh made; its
# camera is vivid. Needs Debian bookworm or later with root, for apt-get.
set -euo pipefail

[ $# -eq 2 ] || { echo "build.sh: give amd64 or arm64, and a folder" >&2; exit 2; }
arch=$1
case $arch in
    amd64) emulator=qemu-system-x86 ;;
    arm64) emulator=qemu-system-arm ;;
    *) echo "build.sh: '$arch' is neither amd64 nor arm64" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2/vm-$arch"
target=$(cd "$2/vm-$arch" && pwd)
kernel="$target/kernel"
first="$target/initramfs"

install_on_host() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y \
        --no-install-recommends "$@" > /dev/null
}

unpack_kernel() {
    # A state folder of its own keeps the host's apt free of another architecture.
    local apt="$target/apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$target/debs" "$kernel"
    local options=(-o APT::Architecture="$arch" -o APT::Architectures::="$arch"
        -o Dir::State::lists="$apt/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$apt/cache"
        -o APT::Sandbox::User=root -o Acquire::Languages=none)
    apt-get "${options[@]}" -qq update || true # a source without arm64 only warns
    # The "cloud" kernels have no media drivers; the plain one does.
    image=$(apt-cache "${options[@]}" depends "linux-image-$arch" |
        awk '/Depends: linux-image/ { sub(/:.*/, "", $NF); print $NF }')
    local wanted=("$image" busybox-static)
    [ "$arch" = arm64 ] || wanted+=(v4l2loopback-dkms)
    (cd "$target/debs" && apt-get "${options[@]}" -qq download "${wanted[@]}")
    for deb in "$target"/debs/*.deb; do dpkg -x "$deb" "$kernel"; done
    rm -rf "$apt" "$target/debs"
    version=${image#linux-image-}
    depmod -b "$kernel" "$version"
}

compile_loopback() {
    install_on_host "linux-headers-$version"
    local source
    source=$(echo "$kernel"/usr/src/v4l2loopback-*)
    make -s -C "/usr/src/linux-headers-$version" M="$source" modules
    cp "$source/v4l2loopback.ko" "$first/modules/"
    echo v4l2loopback.ko > "$first/modules/v4l2loopback"
}

copy_modules() {
    # $1: name of the list; then the modules, which are listed with what they depend on, in order.
    local list=$1 file
    shift
    for module in "$@"; do modprobe -d "$kernel" -S "$version" --show-depends "$module"; done |
        awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
            cp -n "$file" "$first/modules/"
            basename "$file"
        done > "$first/modules/$list"
}

pack_first_files() {
    rm -rf "$first"
    mkdir -p "$first"/{bin,dev,mnt,modules,proc,run,sys}
    cp "$kernel/bin/busybox" "$first/bin/"
    install -m 755 "$here/init" "$first/init"
    copy_modules base virtio_pci 9pnet_virtio 9p overlay videodev
    copy_modules vivid vivid
    [ "$arch" = arm64 ] || compile_loopback
    (cd "$first" && find . | cpio -o -H newc --quiet | gzip -1) > "$target/initrd.gz.part"
    cp "$kernel"/boot/vmlinuz-* "$target/vmlinuz"
    mv "$target/initrd.gz.part" "$target/initrd.gz" # last: where it is, the rest is too
    rm -rf "$kernel" "$first"
}

apt-get -qq update || true # where a source of the host's is broken, the install decides
install_on_host "$emulator" kmod cpio make
unpack_kernel
pack_first_files
echo "ready: $target, Linux $version"
