// Steps and sums over tensors that are given as they are, without a plan: each is looked at once, and then forgotten.

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bind.h"
#include "objects.h"
#include "plan.h"
#include "views.h"

using namespace nb::literals;

namespace downslope {
namespace {

// Looks at (param, grad, velocity or None, compensation or None); nothing if one of them cannot be looked at.
std::optional<Views> views_of(const Reader& reader, const nb::tuple& tensors) {
  if (nb::len(tensors) < 4) throw std::invalid_argument("param, grad, velocity and compensation are needed");
  Views views;
  const auto look = [&](int place, std::optional<DLTensor>& view) {
    if (tensors[place].is_none()) return true;
    return reader.look(tensors[place], view.emplace());
  };
  if (!reader.look(tensors[0], views.param) || !reader.look(tensors[1], views.grad)) return {};
  if (!look(2, views.velocity) || !look(3, views.compensation)) return {};
  return views;
}

// Whether the kernels can take these tensors as they are.
bool fit(nb::handle exchange, const nb::tuple& tensors, int rounding) {
  const std::optional<Views> views = views_of(Reader(exchange, nb::none()), tensors);
  return views && misfit(*views, checked(rounding, Rounding::count, "unknown rounding")) == nullptr;
}

// Each row is (param, grad, velocity or None, compensation or None, group, rounding, index, first).
void step_tensors(nb::handle exchange, const nb::list& rows, const std::vector<double>& coefficients,
                  std::uint32_t key) {
  const Reader reader(exchange, nb::none());
  std::vector<Entry> entries;
  std::vector<const void*> grads;
  for (nb::handle item : rows) {
    const nb::tuple row = nb::cast<nb::tuple>(item);
    if (nb::len(row) != 8) throw std::invalid_argument("a row of a step has eight fields");
    const std::optional<Views> views = views_of(reader, row);
    if (!views) throw std::invalid_argument("a tensor has no memory to look at");
    Entry entry = entry_of(*views, checked(nb::cast<int>(row[5]), Rounding::count, "unknown rounding"));
    entry.group = nb::cast<int>(row[4]);
    entry.index = nb::cast<std::uint32_t>(row[6]);
    entry.first = nb::cast<std::uint32_t>(row[7]);
    if (entry.group < 0 || 6 * (static_cast<std::size_t>(entry.group) + 1) > coefficients.size())
      throw std::invalid_argument("six coefficients per group are needed");
    entries.push_back(entry);
    grads.push_back(address_of(views->grad));
  }
  std::vector<Coefficients> groups;
  for (std::size_t i = 0; i + 6 <= coefficients.size(); i += 6) {
    const double* c = &coefficients[i];
    groups.push_back({c[0], c[1], c[2], c[3], c[4], c[5]});
  }
  const nb::gil_scoped_release release;
  take_step(entries, grads, groups, key);
}

// The sum of squares of dense CPU tensors, and whether all their elements are finite.
std::pair<double, bool> sum_of_squares_of(nb::handle exchange, const nb::list& tensors) {
  const Reader reader(exchange, nb::none());
  std::vector<Entry> entries;
  std::vector<const void*> addresses;
  for (nb::handle tensor : tensors) {
    DLTensor view;
    if (!reader.look(tensor, view)) throw std::invalid_argument("a tensor has no memory to look at");
    Entry entry{};
    entry.count = count_of(view);
    entry.format = format_of(view.dtype);
    if (view.device_type != dl_cpu || entry.format == Format::count || !is_dense(view))
      throw std::invalid_argument("a tensor must lie on the CPU in one dense block, in a format that the kernels know");
    entries.push_back(entry);
    addresses.push_back(address_of(view));
  }
  const nb::gil_scoped_release release;
  const BlockSum sum = sum_of_squares(entries, addresses);
  return {sum.squares, sum.finite};
}

}  // namespace

void bind_tensors(nb::module_& m) {
  m.def("fit", &fit, "exchange"_a, "tensors"_a, "rounding"_a);
  m.def("step_tensors", &step_tensors, "exchange"_a, "rows"_a, "coefficients"_a, "key"_a);
  m.def("sum_of_squares", &sum_of_squares_of, "exchange"_a, "tensors"_a);
}

}  // namespace downslope
