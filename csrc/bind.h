// What the files of the Python module share: one function per file that registers its part.
#pragma once

#include <nanobind/nanobind.h>

#include <stdexcept>

namespace nb = nanobind;

namespace downslope {

void bind_plan(nb::module_& m);
void bind_tensors(nb::module_& m);
void bind_arrays(nb::module_& m);
void bind_xla(nb::module_& m);

template <class Code>
Code checked(int code, Code count, const char* what) {
  if (code < 0 || code >= static_cast<int>(count)) throw std::invalid_argument(what);
  return static_cast<Code>(code);
}

}  // namespace downslope
