#!/bin/sh
# Builds the kernels and their own tests, without Python, with the sanitizers named, and runs them. The kernels are
# optimised and vectorised as those that are shipped (csrc/CMakeLists.txt).
#
#   csrc/tests/run_sanitized.sh [SANITIZERS [FOLDER]]    default: address,undefined, in a temporary folder
#
# Reports name functions; lines of the source too with CXXFLAGS=-g1, which takes a tenth longer to compile.
# What was built in FOLDER before is run again as it is: whoever names one names another for other sources.
# Ends with 77 where the compiler has not got the sanitizers.
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
flags="-std=c++20 ${CXXFLAGS:--g0} -fno-omit-frame-pointer $(tr '\n' ' ' <"$source/exact_flags.txt") -Wall -Wextra -I$source"
flags="$flags -fsanitize=$sanitizers -fno-sanitize-recover=all"

# leaks: the pool is kept on purpose until the process ends, and a forked child cannot destroy its parent's
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
# the tests fork while there are threads, as programs do
export TSAN_OPTIONS=die_after_fork=0:halt_on_error=1
echo 'int main() {}' >"$build/empty.cpp"
# shellcheck disable=SC2086
if ! "$compiler" $flags "$build/empty.cpp" -o "$build/empty" 2>"$build/empty.log" || ! "$build/empty" 2>>"$build/empty.log"; then
  echo "$compiler cannot build or run programs with -fsanitize=$sanitizers:" >&2
  cat "$build/empty.log" >&2
  exit 77
fi

if [ ! -e "$build/whole" ]; then
  kernels() { # kernels NAME [FLAGS]: the kernels of one instruction set
    name=$1
    shift
    # shellcheck disable=SC2086
    "$compiler" $flags -O3 "$@" -DDOWNSLOPE_ISA="$name" "-DDOWNSLOPE_ISA_NAME=\"$name\"" \
      -c "$source/kernels.cpp" -o "$build/kernels_$name.o"
    objects="${objects:-} $build/kernels_$name.o"
  }

  kernels baseline
  case $sanitizers/$(uname -m) in
    thread/*) ;; # which thread takes what is decided before an instruction set is: one of them shows every race
    */x86_64 | */amd64)
      flags="$flags -DDOWNSLOPE_X86"
      kernels avx2 -mavx2 -mprfchw
      if grep -q avx512vl /proc/cpuinfo; then
        kernels avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprfchw -mprefer-vector-width=512
      else # never run here, only linked
        kernels avx512 -O0 -fno-sanitize=all
      fi
      ;;
  esac
  for source_file in plan thread_pool torch_team; do
    # shellcheck disable=SC2086
    "$compiler" $flags -O2 -c "$source/$source_file.cpp" -o "$build/$source_file.o"
    objects="$objects $build/$source_file.o"
  done
  for test in kernel_test bits_test; do # what tests is not shipped: it runs as soon at -O1, and compiles in half the time
    # shellcheck disable=SC2086
    "$compiler" $flags -O1 "$source/tests/$test.cpp" $objects -pthread -ldl -o "$build/$test"
  done
  if [ "$sanitizers" != thread ]; then
    # shellcheck disable=SC2086
    "$compiler" $flags -O2 "$source/tests/arrays_test.cpp" "$source/arrays.cpp" -o "$build/arrays_test"
  fi
  : >"$build/whole"
fi
case $sanitizers in
  thread) "$build/kernel_test" threads ;; # steps on several threads are in bits_test, of which this is the half
  *) "$build/arrays_test" && "$build/kernel_test" ;;
esac
"$build/bits_test"
