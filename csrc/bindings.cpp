// The Python module `downslope.kernel._native`: objects and addresses in, nothing but numbers out.
//
// A plan is made of tensors that Python has checked. Between two steps a tensor may be replaced, so before each step the
// plan asks all of them again, in one pass, by the framework's own methods (`Questions`); no header of a framework is
// needed. What does not live here: arithmetic, and any decision about what a tensor must be like.

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bind_arrays.h"
#include "plan.h"
#include "thread_pool.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace downslope {
namespace {

template <class Code>
Code checked(int code, Code count, const char* what) {
  if (code < 0 || code >= static_cast<int>(count)) throw std::invalid_argument(what);
  return static_cast<Code>(code);
}

void* address_of(nb::handle number) {
  void* address = PyLong_AsVoidPtr(number.ptr());
  if (address == nullptr && PyErr_Occurred()) throw nb::python_error();
  return address;
}

// What a plan asks of a tensor; functions and types of the framework.
struct Questions {
  nb::object address;      // tensor -> int
  nb::object is_dense;     // tensor -> bool: contiguous
  nb::object layout;       // tensor -> anything that compares equal for equal strides
  nb::object tensor_type;  // the exact type that gradients and velocities must have
  nb::object count;        // tensor -> int: elements
  nb::str grad, dtype;     // names of attributes
  nb::object velocity_key;
};

// One tensor of a plan, with the Python objects behind it.
struct Row {
  nb::object param, state, velocity;  // state: the dict in which the velocity is looked up; None without one
  nb::object dtype, layout;           // layout: None where the tensor is contiguous
};

class Plan {
 public:
  // Each row is (param, state, velocity or None, dtype, layout or None; count, group, format, velocity format,
  // rounding).
  Plan(const nb::list& rows, nb::object address, nb::object is_dense, nb::object layout, nb::object tensor_type,
       nb::str velocity_key)
      : ask_{std::move(address), std::move(is_dense),  std::move(layout),      std::move(tensor_type),
             nb::object(),       nb::str("grad"),      nb::str("dtype"),       std::move(velocity_key)} {
    ask_.count = ask_.tensor_type.attr("numel");
    for (nb::handle item : rows) {
      const nb::tuple t = nb::cast<nb::tuple>(item);
      if (nb::len(t) != 10) throw std::invalid_argument("a row of a plan has ten fields");
      Row row{nb::object(t[0]), nb::object(t[1]), nb::object(t[2]), nb::object(t[3]), nb::object(t[4])};
      const Entry entry{address_of(ask_.address(row.param)),
                        row.velocity.is_none() ? nullptr : address_of(ask_.address(row.velocity)),
                        nullptr,
                        nb::cast<std::size_t>(t[5]),
                        nb::cast<int>(t[6]),
                        checked(nb::cast<int>(t[7]), Format::count, "unknown format"),
                        checked(nb::cast<int>(t[8]), VelocityFormat::count, "unknown velocity format"),
                        checked(nb::cast<int>(t[9]), Rounding::count, "unknown rounding"),
                        static_cast<std::uint32_t>(entries_.size())};
      if (!has_kernel(entry.format, entry.velocity_format, entry.rounding))
        throw std::invalid_argument("no kernel for this combination of formats");
      if (entry.param == nullptr || entry.count == 0) throw std::invalid_argument("an empty tensor has no place here");
      if ((entry.velocity == nullptr) != (entry.velocity_format == VelocityFormat::absent))
        throw std::invalid_argument("a velocity and its format go together");
      if (entry.rounding == Rounding::compensated) throw std::invalid_argument("a plan has no place for compensations");
      if (entry.group < 0) throw std::invalid_argument("a group is not negative");
      groups_ = std::max(groups_, static_cast<std::size_t>(entry.group) + 1);
      entries_.push_back(entry);
      rows_.push_back(std::move(row));
    }
    addresses_.resize(entries_.size());
  }

  // Takes up the gradients of this step. False if anything is not as it was when the plan was made: then the plan must
  // not be used again.
  bool refresh() {
    grads_.clear();
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      nb::object grad = row.param.attr(ask_.grad);
      if (!is_plain(grad) || !grad.attr(ask_.dtype).is(row.dtype)) return false;
      if (!fits(grad, i) || !fits(row.param, i)) return false;
      if (address_of(ask_.address(row.param)) != entries_[i].param) return false;
      if (!row.velocity.is_none()) {
        if (PyDict_GetItem(row.state.ptr(), ask_.velocity_key.ptr()) != row.velocity.ptr()) return false;
        if (!fits(row.velocity, i) || address_of(ask_.address(row.velocity)) != entries_[i].velocity) return false;
      }
      addresses_[i] = address_of(ask_.address(grad));
      grads_.push_back(std::move(grad));
    }
    return true;
  }

  // Steps with the gradients last taken up, and six coefficients for each group.
  void step(const std::vector<double>& coefficients, std::uint32_t key) const {
    check_refreshed();
    if (coefficients.size() != 6 * groups_) throw std::invalid_argument("six coefficients per group are needed");
    std::vector<Coefficients> groups(groups_);
    for (std::size_t g = 0; g < groups_; ++g) {
      const double* c = &coefficients[6 * g];
      groups[g] = {c[0], c[1], c[2], c[3], c[4], c[5]};
    }
    const nb::gil_scoped_release release;
    take_step(entries_, addresses_, groups, key);
  }

  // Sum of squares of the gradients last taken up, and whether all of them are finite.
  std::pair<double, bool> sum_of_squares() const {
    check_refreshed();
    const nb::gil_scoped_release release;
    const BlockSum sum = downslope::sum_of_squares(entries_, addresses_);
    return {sum.squares, sum.finite};
  }

  // Forgets the gradients, whose memory would otherwise live until the next step.
  void let_go() { grads_.clear(); }

 private:
  bool is_plain(nb::handle tensor) const { return tensor.type().is(ask_.tensor_type); }

  // Whether a tensor still has the elements of row i in the same order. Its address alone would not tell: the first
  // half of a tensor begins where the whole does, and so does a transposed matrix.
  bool fits(nb::handle tensor, std::size_t i) const {
    const nb::object& layout = rows_[i].layout;
    return PyLong_AsSize_t(ask_.count(tensor).ptr()) == entries_[i].count &&
           (layout.is_none() ? ask_.is_dense(tensor).is(nb::handle(Py_True)) : ask_.layout(tensor).equal(layout));
  }

  void check_refreshed() const {
    if (grads_.size() != entries_.size()) throw std::logic_error("a plan must be refreshed before each use");
  }

  Questions ask_;
  std::vector<Row> rows_;
  std::vector<Entry> entries_;
  std::vector<const void*> addresses_;
  std::vector<nb::object> grads_;  // kept alive while their addresses are in use
  std::size_t groups_ = 0;
};

// The same sum for tensors that are in no plan: (address, count, format) each. They must stay alive meanwhile.
std::pair<double, bool> sum_of_squares_of(const nb::list& tensors) {
  std::vector<Entry> entries;
  std::vector<const void*> addresses;
  for (nb::handle item : tensors) {
    const nb::tuple t = nb::cast<nb::tuple>(item);
    if (nb::len(t) != 3) throw std::invalid_argument("a tensor is (address, count, format)");
    Entry entry{};
    entry.count = nb::cast<std::size_t>(t[1]);
    entry.format = checked(nb::cast<int>(t[2]), Format::count, "unknown format");
    entries.push_back(entry);
    addresses.push_back(address_of(t[0]));
  }
  const nb::gil_scoped_release release;
  const BlockSum sum = sum_of_squares(entries, addresses);
  return {sum.squares, sum.finite};
}

}  // namespace
}  // namespace downslope

NB_MODULE(_native, m) {
  using downslope::Plan;
  m.doc() = "The compiled affine step.";
  nb::class_<Plan>(m, "Plan")
      .def(nb::init<const nb::list&, nb::object, nb::object, nb::object, nb::object, nb::str>(), "rows"_a, "address"_a,
           "is_dense"_a, "layout"_a, "tensor_type"_a, "velocity_key"_a)
      .def("refresh", &Plan::refresh)
      .def("step", &Plan::step, "coefficients"_a, "key"_a)
      .def("sum_of_squares", &Plan::sum_of_squares)
      .def("let_go", &Plan::let_go);
  m.def(
      "has_kernel",
      [](int param_format, int velocity_format, int rounding) {
        return downslope::has_kernel(
            downslope::checked(param_format, downslope::Format::count, "unknown format"),
            downslope::checked(velocity_format, downslope::VelocityFormat::count, "unknown velocity format"),
            downslope::checked(rounding, downslope::Rounding::count, "unknown rounding"));
      },
      "param_format"_a, "velocity_format"_a, "rounding"_a);
  m.def("sum_of_squares", &downslope::sum_of_squares_of, "tensors"_a);
  m.def("thread_count", &downslope::thread_count);
  m.def("set_thread_count", &downslope::set_thread_count, "count"_a);
  m.def("instruction_set", &downslope::instruction_set);
  m.def("set_instruction_set", &downslope::set_instruction_set, "name"_a);
  downslope::bind_arrays(m);
}
