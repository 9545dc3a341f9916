// Registers the step on arrays with the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace downslope {

void bind_arrays(nanobind::module_& m);

}  // namespace downslope
