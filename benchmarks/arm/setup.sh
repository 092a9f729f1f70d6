#!/bin/bash
# An arm64 Python with the runtime's wheels, run by QEMU in user mode: no board, no root file system.
#
#     bash benchmarks/arm/setup.sh FOLDER        (about 30 s, 370 MB; FOLDER outside the checkout)
#
# Needs Debian bookworm or later with root (for one apt-get) and python3 with pip. On the host it
# installs qemu-user, and gcc where there is none; no foreign architecture is added. FOLDER/python is
# the emulated interpreter: QEMU_CPU chooses the core (cortex-a72, the default, is a Raspberry Pi
# 4), COUNT=FILE turns on the instruction counter.
set -euo pipefail

[ $# -eq 1 ] || { echo "setup.sh: give one folder, outside the checkout" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
target=$(cd "$1" && pwd)
case "$target/" in "$(cd "$here/../.." && pwd)"/*)
    echo "setup.sh: $target lies inside the checkout; choose a folder outside" >&2; exit 2 ;;
esac

# Counts differ between releases of the wheels, so these are pinned.
wheels=(numpy==2.4.6 opencv-python-headless==5.0.0.93 onnxruntime==1.32.0 typer==0.28.0)
# What the runtime's own tests need besides.
wheels+=(pytest==9.2.0 hypothesis==6.170.17 onnx==1.23.2 pillow==13.0.0)
packages=(python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libgcc-s1
    libstdc++6 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 libcrypt1
    libncursesw6 libtinfo6 libreadline8 media-types)

install_on_host() {
    # qemu-user rather than qemu-user-static: only the dynamic one takes plugins.
    command -v qemu-aarch64 > /dev/null && command -v gcc > /dev/null && return
    apt-get -qq update || true # where a source of the host's is broken, the install decides
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y \
        --no-install-recommends qemu-user gcc libc6-dev > /dev/null
}

unpack_debs() {
    # A state folder of its own keeps the host's apt free of arm64.
    local apt="$target/apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$target/debs" "$target/root"
    local options=(-qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64
        -o Dir::State::lists="$apt/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$apt/cache"
        -o APT::Sandbox::User=root -o Acquire::Languages=none)
    apt-get "${options[@]}" update || true # a source without arm64 only warns; a download would fail
    (cd "$target/debs" && apt-get "${options[@]}" download "${packages[@]}")
    for deb in "$target"/debs/*.deb; do dpkg -x "$deb" "$target/root"; done
    rm -rf "$apt" "$target/debs"
}

unpack_wheels() {
    # The host's pip unpacks another machine's wheels when told its tags; bookworm has glibc 2.36.
    local tags=(--platform manylinux2014_aarch64)
    for minor in 36 35 34 31 28 27 26 24 17; do tags+=(--platform "manylinux_2_${minor}_aarch64"); done
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --upgrade \
        --target "$target/site" "${tags[@]}" --python-version 3.11 --implementation cp \
        --abi cp311 --abi abi3 --abi none --only-binary=:all: "${wheels[@]}"
}

write_launcher() {
    # Hash seed and address layout are fixed, so that two runs count alike.
    cat > "$target/python" << LAUNCHER
#!/bin/sh
export PYTHONPATH="$target/launched:$target/site\${PYTHONPATH:+:\$PYTHONPATH}" PYTHONHASHSEED=0
export QEMU_LD_PREFIX="$target/root" QEMU_CPU="\${QEMU_CPU:-cortex-a72}"
[ -z "\$COUNT" ] || set -- -plugin "$target/marks.so,out=\$COUNT" "$target/root/usr/bin/python3.11" "\$@"
[ -n "\$COUNT" ] || set -- "$target/root/usr/bin/python3.11" "\$@"
exec setarch -R qemu-aarch64 "\$@"
LAUNCHER
    chmod +x "$target/python"
    # The kernel cannot start the emulated interpreter from a program under it, but the launcher.
    mkdir -p "$target/launched"
    printf 'import sys\n\nsys.executable = "%s"\n' "$target/python" > "$target/launched/sitecustomize.py"
}

compile_library() {
    # Installing the packages does it, unpacking them does not; the compiler's memory stays with
    # every process that has to compile on its own.
    env -u PYTHONDONTWRITEBYTECODE "$target/python" -m compileall -q "$target/root/usr/lib/python3.11"
}

install_on_host
unpack_debs
unpack_wheels
sh "$here/fakepi.sh" "$target/root" pi4
gcc -O2 -Wall -shared -fPIC -o "$target/marks.so" "$here/marks.c"
write_launcher
compile_library
"$target/python" -c 'import cv2, numpy, onnxruntime, platform; print("ready:", platform.machine())'
