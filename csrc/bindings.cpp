// The Python module `downslope.kernel._native`: objects and addresses in, nothing but numbers out.

#include <nanobind/nanobind.h>

#include "bind.h"
#include "plan.h"
#include "thread_pool.h"

namespace nb = nanobind;
using namespace nb::literals;

NB_MODULE(_native, m) {
  using namespace downslope;
  m.doc() = "The compiled affine step.";
  // Whoever keeps an optimizer until the process ends (a hook on a parameter, say, which torch never lets go) keeps its
  // plan: that is no fault of the module, and no line of it belongs on a user's terminal.
  nb::set_leak_warnings(false);
  bind_plan(m);
  bind_tensors(m);
  bind_arrays(m);
  bind_xla(m);
  m.def(
      "has_kernel",
      [](int param_format, int velocity_format, int rounding) {
        return has_kernel(checked(param_format, Format::count, "unknown format"),
                          checked(velocity_format, VelocityFormat::count, "unknown velocity format"),
                          checked(rounding, Rounding::count, "unknown rounding"));
      },
      "param_format"_a, "velocity_format"_a, "rounding"_a);
  m.def("thread_count", &thread_count);
  m.def("set_thread_count", &set_thread_count, "count"_a, "of_torch"_a = false);
  m.def("instruction_set", &instruction_set);
  m.def("set_instruction_set", &set_instruction_set, "name"_a);
}
