#!/bin/sh
# Builds ./train-lm with nothing but a C compiler, for places without the project's build system:
# the inner loops once for each instruction set of the processor's family, then the rest.
set -eu
cd "$(dirname "$0")"
cc=${CC:-cc}
flags="-std=c17 -D_GNU_SOURCE -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math -pthread"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
extra=
if [ "$(uname -m)" = x86_64 ]; then
    extra=-DLM_KERNELS_X86
    $cc $flags -mavx2 -mfma -DLM_KERNEL_SET=lm_kernels_avx2 '-DLM_KERNEL_NAME="avx2"' \
        -DLM_LANES=8 -DLM_TILE=6 -c kernel.c -o "$objects/avx2.o"
    $cc $flags -mavx512f -mfma -mprefer-vector-width=512 -DLM_KERNEL_SET=lm_kernels_avx512 \
        '-DLM_KERNEL_NAME="avx512"' -DLM_LANES=16 -DLM_TILE=8 -c kernel.c -o "$objects/avx512.o"
fi
rest=
for source in *.c; do
    $cc $flags $extra -c "$source" -o "$objects/${source%.c}.o"
    rest="$rest $objects/${source%.c}.o"
done
[ -z "$extra" ] || rest="$rest $objects/avx2.o $objects/avx512.o"
$cc -pthread $rest -lm -o train-lm
