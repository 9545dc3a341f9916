#!/bin/sh
# Builds the kernels of the plain instruction set and their test of bits, without Python, and runs it: for another
# processor, another compiler, or flags that must not matter.
#
#   CXX=clang++ CXXFLAGS="-Ofast -march=native" csrc/tests/run_bits.sh
#   CXX=aarch64-linux-gnu-g++ LDFLAGS=-static EMULATOR=qemu-aarch64 csrc/tests/run_bits.sh
set -eu

source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
# as csrc/CMakeLists.txt has it: what is asked for first, then what the kernels need
flags="-std=c++20 ${CXXFLAGS:-} -O3 $(tr '\n' ' ' <"$source/exact_flags.txt") -I$source"
# shellcheck disable=SC2086
"${CXX:-c++}" $flags -DDOWNSLOPE_ISA=baseline '-DDOWNSLOPE_ISA_NAME="baseline"' \
  "$source/tests/bits_test.cpp" "$source/plan.cpp" "$source/thread_pool.cpp" "$source/torch_team.cpp" \
  "$source/kernels.cpp" -fno-fast-math -fno-unsafe-math-optimizations ${LDFLAGS:-} -pthread -ldl -o "$build/bits_test"
${EMULATOR:-} "$build/bits_test"
