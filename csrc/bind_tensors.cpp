// Steps and sums over tensors that are given as they are, without a plan: each is looked at once, and then forgotten.

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bind.h"
#include "objects.h"
#include "plan.h"
#include "row.h"
#include "views.h"

using namespace nb::literals;

namespace downslope {
namespace {

// Looks at the tensors of a row; nothing if one of them cannot be looked at, or is not what lies in its memory.
std::optional<Views> views_of(const Reader& reader, const GivenRow& row) {
  Views views;
  const auto read = [&](nb::handle tensor, DLTensor& view) { return reader.look(tensor, view) && !reader.is_marked(tensor); };
  const auto look = [&](Field field, std::optional<DLTensor>& view) {
    return !row.has(field) || read(row[field], view.emplace());
  };
  const bool all = read(row[Field::param], views.param) && read(row[Field::grad], views.grad) &&
                   look(Field::velocity, views.velocity) && look(Field::compensation, views.compensation) &&
                   look(Field::scales, views.scales) && look(Field::average, views.average) &&
                   look(Field::factors, views.factors);
  return all ? std::optional<Views>(views) : std::nullopt;
}

// Whether the kernels can take these tensors as they are.
bool fit(nb::handle exchange, nb::handle item) {
  const GivenRow row(item);
  const std::optional<Views> views = views_of(Reader(exchange, nb::none()), row);
  return views && misfit(*views, row.rounding()) == nullptr;
}

// Refuses tensors that share memory with one that is written. The same parameters mostly come again: what they write is
// sorted once for as long as it is the same.
void check_apart(const std::vector<Entry>& entries, const std::vector<const void*>& grads) {
  static std::vector<Span> last;  // used under the interpreter's lock, as all here
  static std::vector<Span> gaps;
  static Territory territory;
  const auto span = [](const void* begin, std::size_t bytes) {
    const auto address = reinterpret_cast<std::uintptr_t>(begin);
    return Span{address, address + bytes};
  };
  std::vector<Span> written;
  written.reserve(3 * entries.size());
  for (const Entry& entry : entries) {
    written.push_back(span(entry.param, entry.count * element_size(entry.format)));
    if (entry.velocity)
      written.push_back(span(entry.velocity, entry.count * element_size(entry.velocity_format)));
    if (entry.scales) written.push_back(span(entry.scales, blocks_of(entry.count) * sizeof(float)));
    if (entry.compensation) written.push_back(span(entry.compensation, entry.count * element_size(Format::bfloat16)));
    if (entry.average)
      written.push_back(span(entry.average, entry.count * element_size(average_format(entry.format))));
  }
  bool is_apart = true;
  if (written != last) {
    is_apart = territory.take(written);
    last = is_apart ? std::move(written) : std::vector<Span>();
    gaps.assign(entries.size(), Span{0, 0});
  }
  for (std::size_t i = 0; is_apart && i < entries.size(); ++i)
    is_apart = territory.is_apart(span(grads[i], entries[i].count * element_size(entries[i].format)), gaps[i]);
  if (!is_apart) throw std::invalid_argument("tensors of a step share memory with one that it writes");
}

// Each row is as row.h has it, with its gradient.
void step_tensors(nb::handle exchange, const nb::list& rows, const std::vector<double>& coefficients,
                  std::uint32_t key) {
  const Reader reader(exchange, nb::none());
  if (coefficients.size() % 6 != 0) throw std::invalid_argument("six coefficients per group are needed");
  std::vector<Entry> entries;
  std::vector<const void*> grads;
  std::vector<nb::object> held;  // the list may change hands while the interpreter's lock is given up
  for (nb::handle item : rows) {
    const GivenRow row(item);
    const std::optional<Views> views = views_of(reader, row);
    if (!views) throw std::invalid_argument("a tensor has no memory to look at");
    Entry entry = entry_of(*views, row.rounding());
    entry.group = row.number<int>(Field::kind);
    take_numbers(entry, row);
    if (entry.group < 0 || 6 * (static_cast<std::size_t>(entry.group) + 1) > coefficients.size())
      throw std::invalid_argument("six coefficients per group are needed");
    entries.push_back(entry);
    grads.push_back(address_of(views->grad));
    held.push_back(row.fields());
  }
  check_apart(entries, grads);
  const std::vector<Coefficients> groups = grouped(coefficients);
  const nb::gil_scoped_release release;
  take_step(entries, grads, groups, key);
}

// The sum of squares of dense CPU tensors, and whether all their elements are finite.
std::pair<double, bool> sum_of_squares_of(nb::handle exchange, const nb::list& tensors) {
  const Reader reader(exchange, nb::none());
  std::vector<Entry> entries;
  std::vector<const void*> addresses;
  std::vector<nb::object> held;
  for (nb::handle tensor : tensors) {
    DLTensor view;
    if (!reader.look(tensor, view)) throw std::invalid_argument("a tensor has no memory to look at");
    Entry entry{};
    entry.count = count_of(view);
    entry.format = format_of(view.dtype);
    if (view.device_type != dl_cpu || entry.format == Format::count || !is_dense(view) ||
        (entry.count > 0 && !is_there(view)))
      throw std::invalid_argument("a tensor must lie on the CPU in one dense block, in a format that the kernels know");
    entries.push_back(entry);
    addresses.push_back(address_of(view));
    held.push_back(nb::borrow(tensor));
  }
  BlockSum sum;
  {
    const nb::gil_scoped_release release;
    sum = sum_of_squares(entries, addresses);
  }
  return {sum.squares, sum.finite};
}

// Writes the norm of each slice of a dense CPU tensor along its first axis; false if these do not lie end to end in it, or
// it is not one that the kernels know: then nothing is written.
bool unit_norms_of(nb::handle exchange, nb::handle tensor, nb::handle norms) {
  const Reader reader(exchange, nb::none());
  DLTensor view, written;
  if (!reader.look(tensor, view) || !reader.look(norms, written)) throw std::invalid_argument("a tensor has no memory to look at");
  const Format format = format_of(view.dtype);
  if (view.device_type != dl_cpu || format == Format::count || !has_units(view) || !is_there(view)) return false;
  if (!is_by_unit(written, view)) throw std::invalid_argument("norms are float64, one for each unit");
  const auto units = static_cast<std::size_t>(view.shape[0]);
  const nb::object held[] = {nb::borrow(tensor), nb::borrow(norms)};
  const nb::gil_scoped_release release;
  unit_norms(format, address_of(view), units, count_of(view) / units, static_cast<double*>(address_of(written)));
  return true;
}

// Each kind of mark is a list of pairs (a tensor, one that differs from it by this mark).
bool learn_marks(nb::handle exchange, const nb::list& kinds) {
  const Reader reader(exchange, nb::none());
  std::size_t object_size = SIZE_MAX;
  const auto example = [&](nb::handle tensor) {
    DLTensor view;
    if (!reader.look(tensor, view)) throw std::invalid_argument("an example is a tensor");
    object_size = std::min(object_size, nb::cast<std::size_t>(tensor.type().attr("__basicsize__")));
    const auto address = nb::cast<std::uintptr_t>(tensor.attr("_cdata"));
    return Marks::Example{tensor.ptr(), reinterpret_cast<const void*>(address)};
  };
  std::vector<std::vector<Marks::Pair>> all;
  for (nb::handle kind : kinds) {
    all.emplace_back();
    for (nb::handle pair : nb::cast<nb::list>(kind)) {
      const nb::tuple both = nb::cast<nb::tuple>(pair);
      if (nb::len(both) != 2) throw std::invalid_argument("a pair is two examples");
      all.back().push_back({example(nb::object(both[0])), example(nb::object(both[1]))});
    }
  }
  return marks().learn(all, object_size);
}

bool is_marked(nb::handle exchange, nb::handle tensor) {
  const Reader reader(exchange, nb::none());
  DLTensor view;
  if (!reader.look(tensor, view)) throw std::invalid_argument("a tensor has no memory to look at");
  return reader.is_marked(tensor);
}

}  // namespace

void bind_tensors(nb::module_& m) {
  m.def("fit", &fit, "exchange"_a, "row"_a);
  m.def("step_tensors", &step_tensors, "exchange"_a, "rows"_a, "coefficients"_a, "key"_a);
  m.def("sum_of_squares", &sum_of_squares_of, "exchange"_a, "tensors"_a);
  m.def("unit_norms", &unit_norms_of, "exchange"_a, "tensor"_a, "norms"_a);
  m.def("learn_marks", &learn_marks, "exchange"_a, "kinds"_a);  // an empty list forgets them
  m.def("is_marked", &is_marked, "exchange"_a, "tensor"_a);
}

}  // namespace downslope
