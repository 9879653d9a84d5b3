#!/bin/sh
# Builds ./nbody with nothing but a C compiler, for the processor that it stands on.
set -eu
cd "$(dirname "$0")"
${CC:-cc} -std=c17 -D_GNU_SOURCE -O3 -ffast-math -march=native main.c native.c opencl.c -lm -ldl -o nbody
