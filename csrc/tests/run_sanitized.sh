#!/bin/sh
# Builds the kernels and their own test, without Python, with the sanitizers named, and runs it.
#
#   csrc/tests/run_sanitized.sh [SANITIZERS [FOLDER]]    default: address,undefined, in a temporary folder
set -eu

sanitizers=${1:-address,undefined}
source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if [ $# -ge 2 ]; then
  build=$2
else
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
fi
compiler=${CXX:-c++}
flags="-std=c++20 -O1 -g -fno-omit-frame-pointer -ffp-contract=off -Wall -Wextra -I$source"
flags="$flags -fsanitize=$sanitizers -fno-sanitize-recover=all"

kernels() { # kernels NAME [FLAGS]: the kernels of one instruction set
  name=$1
  shift
  # shellcheck disable=SC2086
  "$compiler" $flags "$@" -DDOWNSLOPE_ISA="$name" "-DDOWNSLOPE_ISA_NAME=\"$name\"" \
    -c "$source/kernels.cpp" -o "$build/kernels_$name.o"
  objects="${objects:-} $build/kernels_$name.o"
}

kernels baseline
case $(uname -m) in
  x86_64 | amd64)
    flags="$flags -DDOWNSLOPE_X86"
    kernels avx2 -mavx2 -mprfchw
    kernels avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprfchw -mprefer-vector-width=256
    ;;
esac
# shellcheck disable=SC2086
"$compiler" $flags "$source/tests/kernel_test.cpp" "$source/plan.cpp" "$source/thread_pool.cpp" \
  "$source/torch_team.cpp" $objects -pthread -ldl -o "$build/kernel_test"
# shellcheck disable=SC2086
"$compiler" $flags "$source/tests/arrays_test.cpp" "$source/arrays.cpp" -o "$build/arrays_test"
ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 "$build/arrays_test"
# leaks: the pool is kept on purpose until the process ends, and a forked child cannot destroy its parent's
ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 "$build/kernel_test"
