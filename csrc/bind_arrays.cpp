// One step on dictionaries of arrays that Python owns, through the buffer protocol: no header of NumPy, and nothing
// that could copy an array and lose what is written to the copy.
//
// Everything is looked at anew for every step, since any array may have been replaced, reshaped or made read-only since
// the last. Arrays that the kernel cannot take are told to the caller (kernel/arrays.py).

#include "bind.h"

#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "arrays.h"
#include "blocks.h"
#include "plan.h"

using namespace nb::literals;

namespace downslope {
namespace {

PyObject* find(const nb::dict& dict, nb::handle key) {
  PyObject* value = PyDict_GetItemWithError(dict.ptr(), key.ptr());
  if (value == nullptr && PyErr_Occurred()) throw nb::python_error();
  return value;
}

// An array's memory for as long as it is looked at.
class View {
 public:
  explicit View(nb::handle array) : is_open_(PyObject_GetBuffer(array.ptr(), &buffer_, PyBUF_STRIDES) == 0) {
    if (!is_open_) PyErr_Clear();  // as good as any other array that the kernel does not take
  }
  ~View() {
    if (is_open_) PyBuffer_Release(&buffer_);
  }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  char* address() const { return static_cast<char*>(buffer_.buf); }
  Layout layout() const {
    return {address(), static_cast<std::size_t>(buffer_.itemsize), buffer_.ndim, buffer_.shape, buffer_.strides};
  }
  bool can_be_read() const { return is_open_ && is_dense(layout()); }
  bool can_be_written() const { return is_open_ && !buffer_.readonly && is_dense(layout()); }

 private:
  Py_buffer buffer_;
  bool is_open_;
};

class ArrayStep {
 public:
  ArrayStep(const nb::dict& grads, const nb::dict& params, const nb::dict& velocities, const nb::dict& fresh,
            const nb::dict& settings, nb::handle array_type, const nb::dict& formats, const nb::dict& averages,
            const nb::dict& weights)
      : array_type_(array_type), formats_(formats) {
    const std::size_t count = nb::len(grads);
    entries_.reserve(count);
    addresses_.reserve(count);
    arrays_.reserve(4 * count);
    blocks_.reserve(4 * count);
    for (const auto& [name, grad] : grads) {
      PyObject* param = find(params, name);
      if (param == nullptr) {
        rest_.append(name);
      } else if (!grad.is_none()) {
        PyObject* velocity = find(velocities, name);
        const bool is_first = velocity == nullptr;
        if (is_first) velocity = find(fresh, name);
        PyObject* own = find(settings, name);
        if (own == nullptr) {
          rest_.append(name);
        } else {
          PyObject* average = find(averages, name);
          PyObject* weight = average ? find(weights, name) : nullptr;
          if (average && !weight) throw std::invalid_argument("an average goes with the weight of its parameter");
          weight_ = weight ? nb::cast<double>(nb::handle(weight)) : 0;
          take(nb::borrow(name), nb::borrow(param), nb::borrow(grad), velocity ? nb::borrow(velocity) : nb::object(),
               average ? nb::borrow(average) : nb::object(), own, is_first);
        }
      }
    }
    overlaps_ = find_overlaps(blocks_);
    formats_.reset(), dtype_.reset();
  }

  const nb::list& rest() const { return rest_; }
  const nb::list& unfit() const { return unfit_; }
  const nb::list& missing() const { return missing_; }
  const nb::list& kinds() const { return kinds_; }
  std::pair<bool, bool> overlaps() const { return {overlaps_.read, overlaps_.written}; }
  bool is_whole() const {
    return nb::len(rest_) + nb::len(unfit_) + nb::len(missing_) == 0 && !overlaps_.read && !overlaps_.written;
  }

  void run(const std::vector<double>& coefficients) const {
    if (coefficients.size() != 6 * known_.size()) throw std::invalid_argument("six coefficients per kind are needed");
    if (overlaps_.read || overlaps_.written) throw std::logic_error("arrays that overlap cannot be stepped at once");
    const std::vector<Coefficients> kinds = grouped(coefficients);
    const nb::gil_scoped_release release;
    take_step(entries_, addresses_, kinds, 0);
  }

  template <class Visit>
  int visit(Visit&& visit) const {
    for (const nb::object& held : arrays_)
      if (int stop = visit(held)) return stop;
    for (const nb::list* held : {&rest_, &unfit_, &missing_, &kinds_})
      if (int stop = visit(*held)) return stop;
    return 0;
  }

  void break_circles() {
    entries_.clear();
    addresses_.clear();
    const auto arrays = std::exchange(arrays_, {});
    for (nb::list* held : {&rest_, &unfit_, &missing_, &kinds_}) *held = nb::list();
  }

 private:
  // Takes up one parameter, or says in a list why not.
  void take(nb::object name, nb::object param, nb::object grad, nb::object velocity, nb::object average,
            PyObject* settings, bool is_first) {
    const std::optional<Format> format = format_of(param);
    if (!format || (velocity && format_of(velocity) != format)) return rest_.append(name);
    const View param_view(param);
    if (!param_view.can_be_written()) return rest_.append(name);
    const Layout layout = param_view.layout();
    if (layout.item_size != element_size(*format)) return rest_.append(name);
    std::optional<View> grad_view;
    if (format_of(grad) == format) grad_view.emplace(grad);
    const bool is_fit = grad_view && grad_view->can_be_read() && is_alike(layout, grad_view->layout());
    if (!is_fit) unfit_.append(name);
    if (!velocity) return missing_.append(name);
    const View velocity_view(velocity);
    if (!velocity_view.can_be_written() || !is_alike(layout, velocity_view.layout())) return rest_.append(name);
    std::optional<View> average_view;
    if (average) {
      if (format_of(average) == average_format(*format)) average_view.emplace(average);
      const bool fits = average_view && average_view->can_be_written() && is_alike(layout, average_view->layout());
      if (!fits) return rest_.append(name);
    }
    if (!is_fit) return;
    const std::size_t count = layout.count(), bytes = count * layout.item_size;
    blocks_.push_back({param_view.address(), param_view.address() + bytes, true});
    blocks_.push_back({velocity_view.address(), velocity_view.address() + bytes, true});
    blocks_.push_back({grad_view->address(), grad_view->address() + bytes, false});
    entries_.push_back({param_view.address(), velocity_view.address(), nullptr, count, kind_of(settings, is_first),
                        *format, static_cast<VelocityFormat>(*format), Rounding::nearest,
                        static_cast<std::uint32_t>(entries_.size()), 0});
    if (average_view) {
      char* const begin = average_view->address();
      blocks_.push_back({begin, begin + count * element_size(average_format(*format)), true});
      entries_.back().average = begin;
      entries_.back().weight = weight_;
      arrays_.push_back(std::move(average));
    }
    addresses_.push_back(grad_view->address());
    for (nb::object* array : {&param, &velocity, &grad}) arrays_.push_back(std::move(*array));
  }

  // The format of an array of exactly the array type, if the kernel has it.
  std::optional<Format> format_of(nb::handle array) {
    if (!array.type().is(array_type_)) return std::nullopt;
    nb::object dtype = array.attr(dtype_name_);
    if (!dtype.is(dtype_)) {  // mostly all are of one
      PyObject* code = find(formats_, dtype);
      dtype_ = std::move(dtype);
      format_.reset();
      if (code != nullptr) {
        const int number = nb::cast<int>(nb::handle(code));
        if (number < 0 || number >= static_cast<int>(Format::count)) throw std::invalid_argument("unknown format");
        format_ = static_cast<Format>(number);
      }
    }
    return format_;
  }

  // The number of a pair (settings, whether at the first gradient).
  int kind_of(PyObject* settings, bool is_first) {
    for (std::size_t kind = known_.size(); kind-- > 0;)
      if (known_[kind].first == settings && known_[kind].second == is_first) return static_cast<int>(kind);
    known_.emplace_back(settings, is_first);
    kinds_.append(nb::make_tuple(nb::borrow(settings), is_first));
    return static_cast<int>(known_.size()) - 1;
  }

  nb::handle array_type_;
  nb::dict formats_;                // dtype -> code
  nb::object dtype_;                // the last one met, and its format
  std::optional<Format> format_;
  nb::str dtype_name_{"dtype"};
  double weight_ = 0;  // of the parameter that is being taken up, in its average
  nb::list rest_, unfit_, missing_, kinds_;
  std::vector<std::pair<PyObject*, bool>> known_;  // kinds_, which holds the references
  std::vector<Entry> entries_;
  std::vector<const void*> addresses_;
  std::vector<nb::object> arrays_;  // kept alive while their addresses are in use
  std::vector<MemoryBlock> blocks_;
  Overlaps overlaps_{false, false};
};

bool is_row_major(const Layout& layout) {
  auto size = static_cast<std::ptrdiff_t>(layout.item_size);
  for (int axis = layout.axes - 1; axis >= 0; --axis) {
    if (layout.shape[axis] != 1 && layout.strides[axis] != size) return false;
    size *= layout.shape[axis];
  }
  return true;
}

// Steps arrays whose velocity is codes. Each row is (param, grad, codes, scales, average or None, weight, format, kind):
// their formats are as the caller says, and an average goes `weight` of the way to its parameter. Returns the places of the
// rows that the kernel cannot take, of which nothing has moved.
std::vector<std::size_t> step_codes(const nb::list& rows, const std::vector<double>& coefficients) {
  if (coefficients.size() % 6 != 0) throw std::invalid_argument("six coefficients per kind are needed");
  std::vector<Entry> entries;
  std::vector<const void*> grads;
  std::vector<std::size_t> left;
  std::vector<nb::object> held;
  for (std::size_t place = 0; place < nb::len(rows); ++place) {
    const nb::tuple row = nb::cast<nb::tuple>(rows[place]);
    if (nb::len(row) != 8) throw std::invalid_argument("a row of a step has eight fields");
    const double weight = nb::cast<double>(row[5]);
    const Format format = checked(nb::cast<int>(row[6]), Format::count, "unknown format");
    const int kind = nb::cast<int>(row[7]);
    if (kind < 0 || 6 * (static_cast<std::size_t>(kind) + 1) > coefficients.size())
      throw std::invalid_argument("six coefficients per kind are needed");
    const nb::object arrays[] = {nb::object(row[0]), nb::object(row[1]), nb::object(row[2]), nb::object(row[3])};
    const View param(arrays[0]), grad(arrays[1]), codes(arrays[2]), scales(arrays[3]);
    const nb::object average = nb::object(row[4]);
    std::optional<View> kept;
    if (!average.is_none()) kept.emplace(average);
    const bool fits = has_kernel(format, VelocityFormat::coded, Rounding::nearest) && param.can_be_written() &&
                      grad.can_be_read() && codes.can_be_written() && scales.can_be_written() &&
                      param.layout().item_size == element_size(format) && is_row_major(param.layout()) &&
                      is_alike(param.layout(), grad.layout()) && grad.layout().item_size == element_size(format) &&
                      codes.layout().item_size == 1 && is_row_major(codes.layout()) &&
                      codes.layout().count() == param.layout().count() && scales.layout().item_size == sizeof(float) &&
                      scales.layout().count() >= blocks_of(param.layout().count()) &&
                      (!kept || (kept->can_be_written() && is_alike(param.layout(), kept->layout()) &&
                                 kept->layout().item_size == element_size(average_format(format))));
    if (!fits) {
      left.push_back(place);
      continue;
    }
    entries.push_back({param.address(), codes.address(), nullptr, param.layout().count(), kind, format,
                       VelocityFormat::coded, Rounding::nearest, static_cast<std::uint32_t>(place), 0,
                       reinterpret_cast<float*>(scales.address()), kept ? kept->address() : nullptr, weight});
    grads.push_back(grad.address());
    held.push_back(row);
  }
  const std::vector<Coefficients> kinds = grouped(coefficients);
  const nb::gil_scoped_release release;
  take_step(entries, grads, kinds, 0);
  return left;
}

// Writes the norm of each slice of an array along its first axis, where these lie end to end in it; else returns false. Its
// format is as the caller says, and `norms` is float64.
bool array_unit_norms(nb::handle array, int code, nb::handle norms) {
  const Format format = checked(code, Format::count, "unknown format");
  const nb::object held[] = {nb::borrow(array), nb::borrow(norms)};
  const View view(array), written(norms);
  if (!view.can_be_read() || !written.can_be_written()) return false;
  const Layout layout = view.layout();
  const std::size_t count = layout.count();
  if (layout.axes < 1 || count == 0 || layout.item_size != element_size(format)) return false;
  const auto bytes = static_cast<std::ptrdiff_t>(count * layout.item_size);
  if (layout.shape[0] != 1 && layout.strides[0] * layout.shape[0] != bytes) return false;
  const auto units = static_cast<std::size_t>(layout.shape[0]);
  if (written.layout().item_size != sizeof(double) || written.layout().count() != units)
    throw std::invalid_argument("norms are float64, one for each unit");
  double* const found = reinterpret_cast<double*>(written.address());
  const nb::gil_scoped_release release;
  unit_norms(format, layout.address, units, count / units, found);
  return true;
}

}  // namespace

void bind_arrays(nb::module_& m) {
  m.def("unit_norms_of_array", &array_unit_norms, "array"_a, "code"_a, "norms"_a);
  m.def("step_codes", &step_codes, "rows"_a, "coefficients"_a);
  nb::class_<ArrayStep>(m, "ArrayStep", nb::type_slots(collected<ArrayStep>))
      .def(nb::init<const nb::dict&, const nb::dict&, const nb::dict&, const nb::dict&, const nb::dict&, nb::handle,
                    const nb::dict&, const nb::dict&, const nb::dict&>(),
           "grads"_a, "params"_a, "velocities"_a, "fresh"_a, "settings"_a, "array_type"_a, "formats"_a,
           "averages"_a = nb::dict(), "weights"_a = nb::dict())
      .def_prop_ro("rest", &ArrayStep::rest)        // names whose parameter or velocity the kernel cannot take
      .def_prop_ro("unfit", &ArrayStep::unfit)      // names whose gradient alone it cannot
      .def_prop_ro("missing", &ArrayStep::missing)  // names that have no velocity yet
      .def_prop_ro("kinds", &ArrayStep::kinds)      // (settings, whether at the first gradient), as `run` numbers them
      .def_prop_ro("is_whole", &ArrayStep::is_whole)
      .def_prop_ro("reads_what_it_writes", [](const ArrayStep& step) { return step.overlaps().first; })
      .def_prop_ro("writes_twice", [](const ArrayStep& step) { return step.overlaps().second; })
      .def("run", &ArrayStep::run, "coefficients"_a);
}

}  // namespace downslope
