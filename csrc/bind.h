// What the files of the Python module share: one function per file that registers its part.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <stdexcept>
#include <vector>

#include "affine.h"

namespace nb = nanobind;

namespace downslope {

void bind_plan(nb::module_& m);
void bind_tensors(nb::module_& m);
void bind_arrays(nb::module_& m);
void bind_xla(nb::module_& m);

// Six coefficients for each group, as numbers in a row; their count is a multiple of six.
inline std::vector<Coefficients> grouped(const std::vector<double>& numbers) {
  std::vector<Coefficients> all(numbers.size() / 6);
  for (std::size_t g = 0; g < all.size(); ++g) {
    const double* c = &numbers[6 * g];
    all[g] = {c[0], c[1], c[2], c[3], c[4], c[5]};
  }
  return all;
}

// How Python's collector finds circles through an object of this module, and breaks them: its class has a `visit` that
// is called with every Python object it holds, and `break_circles`, which lets go of them.
template <class Class>
inline PyType_Slot collected[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(+[](PyObject* self, visitproc visitor, void* context) -> int {
       if (int stop = visitor(reinterpret_cast<PyObject*>(Py_TYPE(self)), context)) return stop;
       if (!nb::inst_ready(self)) return 0;  // not yet made
       return nb::inst_ptr<Class>(self)->visit([&](nb::handle held) -> int {
         return held.is_valid() ? visitor(held.ptr(), context) : 0;
       });
     })},
    {Py_tp_clear, reinterpret_cast<void*>(+[](PyObject* self) -> int {
       if (nb::inst_ready(self)) nb::inst_ptr<Class>(self)->break_circles();
       return 0;
     })},
    {0, nullptr}};

template <class Code>
Code checked(int code, Code count, const char* what) {
  if (code < 0 || code >= static_cast<int>(count)) throw std::invalid_argument(what);
  return static_cast<Code>(code);
}

}  // namespace downslope
