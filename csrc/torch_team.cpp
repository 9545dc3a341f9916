#include "torch_team.h"

#ifdef __linux__
#include <dlfcn.h>
#endif

namespace downslope {
namespace {

// The entry of a parallel region in libgomp, which GCC calls for `#pragma omp parallel`; Intel's and LLVM's runtimes
// have it too. Looked up among what torch itself is linked with, since a process may hold several such runtimes.
using Parallel = void (*)(void (*body)(void*), void* context, unsigned count, unsigned flags);

Parallel find_parallel() {
#ifdef __linux__
  if (void* torch = dlopen("libtorch_cpu.so", RTLD_NOLOAD | RTLD_LAZY))
    return reinterpret_cast<Parallel>(dlsym(torch, "GOMP_parallel"));
#endif
  return nullptr;
}

}  // namespace

bool run_on_torch_team(int count, void (*body)(void*), void* context) {
  static const Parallel parallel = find_parallel();
  if (parallel == nullptr) return false;
  parallel(body, context, static_cast<unsigned>(count), 0);
  return true;
}

}  // namespace downslope
