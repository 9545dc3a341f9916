#include "torch_team.h"

#ifdef __linux__
#include <dlfcn.h>
#endif

namespace downslope {
namespace {

// The entry of a parallel region in libgomp, which GCC calls for `#pragma omp parallel`; Intel's and LLVM's runtimes
// have it too. A process may hold several such runtimes. torch's own calls go where the linker found the name first:
// among what every library sees (a runtime that was preloaded), else among what torch itself is linked with.
using Parallel = void (*)(void (*body)(void*), void* context, unsigned count, unsigned flags);

Parallel find_parallel() {
#ifdef __linux__
  void* found = dlsym(RTLD_DEFAULT, "GOMP_parallel");
  if (void* torch = dlopen("libtorch_cpu.so", RTLD_NOLOAD | RTLD_LAZY); torch != nullptr && found == nullptr)
    found = dlsym(torch, "GOMP_parallel");
  return reinterpret_cast<Parallel>(found);
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
