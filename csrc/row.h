// What Python tells of one parameter of a step: a tuple with a place for each field (kernel/rows.py), None where there is
// nothing.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <iterator>
#include <stdexcept>

#include "bind.h"
#include "plan.h"

namespace downslope {

enum class Field {
  param, grad, spec, state, velocity, compensation, scales, average, factors,  // objects
  kind, rounding, place, first, weight,                               // numbers; no kind of what is only watched
  count
};

constexpr const char* field_names[] = {"param",   "grad", "spec",     "state", "velocity", "compensation", "scales",
                                       "average", "factors", "kind", "rounding", "place", "first",    "weight"};
static_assert(std::size(field_names) == static_cast<std::size_t>(Field::count));

class GivenRow {
 public:
  explicit GivenRow(nb::handle item) {
    if (!PyTuple_Check(item.ptr()) || nb::len(item) != static_cast<std::size_t>(Field::count))
      throw std::invalid_argument("a row of a step is a tuple of all fields, as downslope.kernel.rows.Row is");
    fields_ = nb::borrow<nb::tuple>(item);
  }

  nb::object operator[](Field field) const { return fields_[static_cast<int>(field)]; }
  bool has(Field field) const { return !(*this)[field].is_none(); }
  template <class Number>
  Number number(Field field) const {
    return nb::cast<Number>((*this)[field]);
  }
  Rounding rounding() const { return checked(number<int>(Field::rounding), Rounding::count, "unknown rounding"); }
  const nb::tuple& fields() const { return fields_; }

 private:
  nb::tuple fields_;
};

// Sets what a row says of a tensor besides its memory.
inline void take_numbers(Entry& entry, const GivenRow& row) {
  entry.index = row.number<std::uint32_t>(Field::place);
  entry.first = row.number<std::uint32_t>(Field::first);
  if (entry.average != nullptr) entry.weight = row.number<double>(Field::weight);
}

}  // namespace downslope
