// `_native.Plan`: the tensors of an optimizer's step, checked once and then stepped again and again.
//
// A plan is made of tensors that Python has checked. Between two steps a tensor may be replaced, so before each step the
// plan asks all of them again, in one pass. What does not live here: arithmetic (plan.cpp), and how Python objects are
// asked (objects.h).

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "bind.h"
#include "objects.h"
#include "plan.h"
#include "views.h"

using namespace nb::literals;

namespace downslope {
namespace {

// What a plan knows of the framework's objects.
struct Names {
  nb::object grad, local, spec;         // attributes: of a parameter; of a distributed tensor
  nb::object velocity, compensation;    // keys of a parameter's state
};

struct Row {
  nb::object param, state;  // state: the dict in which velocity and compensation are looked up, or None
  nb::object spec;          // how a distributed parameter is laid out over processes; None for an ordinary one
  nb::object velocity, compensation;
  Form param_form, grad_form;
  std::optional<Form> velocity_form, compensation_form;
};

class Plan {
 public:
  // Each row is (param, spec or None, state or None, velocity or None, compensation or None, group, rounding, index,
  // first): `group` counts the coefficients, `index` is the tensor's for its random numbers, and `first` its first
  // element's.
  Plan(const nb::list& rows, nb::handle exchange, nb::object tensor_type, nb::tuple names)
      : reader_(exchange, std::move(tensor_type)),
        names_{nb::str("grad"), nb::object(names[0]), nb::object(names[1]), nb::object(names[2]), nb::object(names[3])} {
    for (nb::handle item : rows) add(nb::cast<nb::tuple>(item));
    addresses_.resize(entries_.size());
  }

  // Tells which groups and which state must stay as they are, and what to call with the tensors that a step writes.
  void watch(const nb::list& groups, const nb::dict& state, const nb::list& watched, nb::object touch,
             nb::object written) {
    groups_.emplace(groups, state, watched);
    touch_ = std::move(touch);
    written_ = std::move(written);
  }

  bool groups_hold(nb::handle groups, nb::handle state) const { return groups_ && groups_->hold(groups, state); }
  bool values_hold() const { return groups_ && groups_->values_hold(); }
  void take_values() {
    if (groups_) groups_->take_values();
  }

  // Takes up the gradients of this step. False if anything is not as it was when the plan was made: then the plan must
  // not be used again.
  bool refresh() {
    grads_.clear();
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      nb::object grad = attribute(row.param, names_.grad);
      if (!row.spec.is_none()) {
        if (!grad.type().is(row.param.type()) || !same_spec(attribute(grad, names_.spec), row.spec)) return false;
        grad = attribute(grad, names_.local);
      }
      if (!reader_.is_plain(grad)) return false;
      DLTensor view;
      if (!reader_.look(grad, view) || !row.grad_form.fits(view)) return false;
      addresses_[i] = address_of(view);
      if (!is_where(row.param, row.param_form, entries_[i].param, row)) return false;
      if (row.velocity_form && !is_held(row, names_.velocity, row.velocity, *row.velocity_form, entries_[i].velocity))
        return false;
      if (row.compensation_form &&
          !is_held(row, names_.compensation, row.compensation, *row.compensation_form, entries_[i].compensation))
        return false;
      grads_.push_back(std::move(grad));
    }
    return true;
  }

  // Steps with the gradients last taken up, and six coefficients for each group.
  void step(const std::vector<double>& coefficients, std::uint32_t key) {
    take_coefficients(coefficients);
    step_again(key);
  }

  // Takes a whole step, if since the last one nothing has changed but gradients and what drives itself; and returns the
  // gradients' sum of squares, or 0 if not asked for. Else nothing is done, and nothing returned.
  //
  // `coefficients`: six for each group; none for those of the last step. `asks`: whether to do nothing unless all
  // gradients are finite and their norm is at most `largest_norm`.
  std::optional<double> repeat(nb::handle groups, nb::handle state, std::uint32_t key,
                               const std::optional<std::vector<double>>& coefficients, bool asks, double largest_norm) {
    const auto take = [&]() -> std::optional<double> {
      if (!groups_hold(groups, state) || !groups_->values_hold() || !refresh()) return {};
      double squares = 0;
      if (asks) {
        bool finite;
        std::tie(squares, finite) = sum_of_squares();
        if (!finite || !std::isfinite(squares) || std::sqrt(squares) > largest_norm) return {};
      }
      if (coefficients) take_coefficients(*coefficients);
      if (coefficients_.empty()) return {};
      step_again(key);
      return squares;
    };
    const std::optional<double> taken = take();
    let_go();
    return taken;
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

  std::size_t elements() const {
    std::size_t total = 0;
    for (const Entry& entry : entries_) total += entry.count;
    return total;
  }

 private:
  void add(const nb::tuple& t) {
    if (nb::len(t) != 9) throw std::invalid_argument("a row of a plan has nine fields");
    const nb::object param(t[0]), spec(t[1]), velocity(t[3]), compensation(t[4]);
    const bool is_distributed = !spec.is_none();
    const auto viewed = [&](const nb::object& tensor) {
      const nb::object own = is_distributed ? attribute(tensor, names_.local) : tensor;
      DLTensor view;
      if (!reader_.look(own, view)) throw std::invalid_argument("a tensor of a plan has no memory to look at");
      return view;
    };
    const auto viewed_or_absent = [&](const nb::object& tensor) {
      return tensor.is_none() ? std::optional<DLTensor>() : std::optional<DLTensor>(viewed(tensor));
    };
    const Views views{viewed(param), viewed(attribute(param, names_.grad)), viewed_or_absent(velocity),
                      viewed_or_absent(compensation)};
    Entry entry = entry_of(views, checked(nb::cast<int>(t[6]), Rounding::count, "unknown rounding"));
    entry.group = nb::cast<int>(t[5]);
    entry.index = nb::cast<std::uint32_t>(t[7]);
    entry.first = nb::cast<std::uint32_t>(t[8]);
    Row row{param, nb::object(t[2]), spec, velocity, compensation, Form(views.param), Form(views.grad), {}, {}};
    if (views.velocity) row.velocity_form.emplace(*views.velocity);
    if (views.compensation) row.compensation_form.emplace(*views.compensation);
    if (entry.group < 0) throw std::invalid_argument("a group is not negative");
    group_count_ = std::max(group_count_, static_cast<std::size_t>(entry.group) + 1);
    entries_.push_back(entry);
    rows_.push_back(std::move(row));
  }

  static nb::object attribute(nb::handle object, nb::handle name) {
    PyObject* found = PyObject_GetAttr(object.ptr(), name.ptr());
    if (found == nullptr) throw nb::python_error();
    return nb::steal(found);
  }

  static bool same_spec(nb::handle found, nb::handle expected) { return found.is(expected) || found.equal(expected); }

  // Whether a tensor of a row still lies where it did, in the same form.
  bool is_where(nb::handle tensor, const Form& form, const void* address, const Row& row) const {
    DLTensor view;
    if (row.spec.is_none()) return reader_.look(tensor, view) && address_of(view) == address && form.fits(view);
    const nb::object local = attribute(tensor, names_.local);
    return reader_.is_plain(local) && reader_.look(local, view) && address_of(view) == address && form.fits(view);
  }

  // The same, and whether it is still what the parameter's state holds.
  bool is_held(const Row& row, const nb::object& key, const nb::object& tensor, const Form& form,
               const void* address) const {
    return PyDict_GetItem(row.state.ptr(), key.ptr()) == tensor.ptr() && is_where(tensor, form, address, row);
  }

  void take_coefficients(const std::vector<double>& coefficients) {
    if (coefficients.size() != 6 * group_count_) throw std::invalid_argument("six coefficients per group are needed");
    coefficients_.resize(group_count_);
    for (std::size_t g = 0; g < group_count_; ++g) {
      const double* c = &coefficients[6 * g];
      coefficients_[g] = {c[0], c[1], c[2], c[3], c[4], c[5]};
    }
  }

  void step_again(std::uint32_t key) {
    check_refreshed();
    // What is written behind autograd's back must count as a change for it. Before the step rather than after, since the
    // tensors' headers are then still in the cache.
    if (touch_) touch_(written_);
    const nb::gil_scoped_release release;
    take_step(entries_, addresses_, coefficients_, key);
  }

  void check_refreshed() const {
    if (grads_.size() != entries_.size()) throw std::logic_error("a plan must be refreshed before each use");
  }

  Reader reader_;
  Names names_;
  std::vector<Row> rows_;
  std::vector<Entry> entries_;
  std::vector<const void*> addresses_;
  std::vector<nb::object> grads_;  // kept alive while their addresses are in use
  std::size_t group_count_ = 0;
  std::vector<Coefficients> coefficients_;  // of the last step, by group
  std::optional<Groups> groups_;
  nb::object touch_, written_;
};

}  // namespace

void bind_plan(nb::module_& m) {
  nb::class_<Plan>(m, "Plan")
      .def(nb::init<const nb::list&, nb::handle, nb::object, nb::tuple>(), "rows"_a, "exchange"_a, "tensor_type"_a,
           "names"_a)
      .def("watch", &Plan::watch, "groups"_a, "state"_a, "watched"_a, "touch"_a, "written"_a)
      .def("groups_hold", &Plan::groups_hold, "groups"_a, "state"_a)
      .def("values_hold", &Plan::values_hold)
      .def("take_values", &Plan::take_values)
      .def("refresh", &Plan::refresh)
      .def("step", &Plan::step, "coefficients"_a, "key"_a)
      .def("repeat", &Plan::repeat, "groups"_a, "state"_a, "key"_a, "coefficients"_a.none(), "asks"_a, "largest_norm"_a)
      .def("sum_of_squares", &Plan::sum_of_squares)
      .def("let_go", &Plan::let_go)
      .def("elements", &Plan::elements);
}

}  // namespace downslope
