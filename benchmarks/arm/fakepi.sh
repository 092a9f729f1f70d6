#!/bin/sh
# Lay a Raspberry Pi's processor description into the root that QEMU looks files up in.
#
#     sh fakepi.sh ROOT pi4|pi5
#
# ONNX Runtime's processor detection reads /proc/cpuinfo and /sys/devices/system/cpu; from those of
# an x86 host it crashes on import. QEMU's user mode takes a file from ROOT where there is one.
set -eu
root=$1
case $2 in
    pi4) # Cortex-A72
        model='Raspberry Pi 4 Model B Rev 1.1' part=0xd08 variant=0x0 revision=3
        features='fp asimd evtstrm crc32 cpuid' ;;
    pi5) # Cortex-A76
        model='Raspberry Pi 5 Model B Rev 1.0' part=0xd0b variant=0x4 revision=1
        features='fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm'
        features="$features lrcpc dcpop asimddp" ;;
    *) echo "fakepi.sh: '$2' is neither pi4 nor pi5" >&2; exit 2 ;;
esac

cpus="$root/sys/devices/system/cpu"
mkdir -p "$root/proc" "$cpus"
for list in possible present online; do echo 0-3 > "$cpus/$list"; done
for core in 0 1 2 3; do
    mkdir -p "$cpus/cpu$core/topology" "$cpus/cpu$core/cpufreq"
    echo 1800000 > "$cpus/cpu$core/cpufreq/cpuinfo_max_freq"
    echo 600000 > "$cpus/cpu$core/cpufreq/cpuinfo_min_freq"
    echo 0 > "$cpus/cpu$core/topology/physical_package_id"
    echo "$core" > "$cpus/cpu$core/topology/core_id"
    echo 0-3 > "$cpus/cpu$core/topology/core_siblings_list"
    echo "$core" > "$cpus/cpu$core/topology/thread_siblings_list"
    printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: %s\n' "$core" "$features"
    printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: %s\n' "$variant"
    printf 'CPU part\t: %s\nCPU revision\t: %s\n\n' "$part" "$revision"
done > "$root/proc/cpuinfo"
printf 'Model\t\t: %s\n' "$model" >> "$root/proc/cpuinfo"
