// `_native.Plan`: the tensors of an optimizer's step, checked once and then stepped again and again.
//
// A plan is made of tensors that Python has checked. Between two steps a tensor may be replaced, so before each step the
// plan asks all of them again, in one pass.

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>
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

// What a plan knows of the framework's objects.
struct Names {
  nb::object grad, local, spec;         // attributes: of a parameter; of a distributed tensor
  nb::object velocity, compensation;    // keys of a parameter's state
  nb::object codes, scales;             // the same, of a velocity of codes
  nb::object average;
};

// One parameter of a plan: one that the kernel steps, or one that is only watched.
struct Row {
  nb::object param, state;  // state: the dict in which velocity and compensation are looked up, or None
  nb::object spec;          // how a distributed parameter is laid out over processes; None for an ordinary one
  nb::object velocity, compensation, scales, average;  // scales: None unless the velocity is codes
  Form param_form, grad_form;
  std::optional<Form> velocity_form, compensation_form, scales_form, average_form;
  std::ptrdiff_t place;  // of its entry among those that are stepped; -1 where it is only watched
  bool was_plain;        // whether its gradient was not marked and lay as it should when the plan was made
  Span gap;              // between two written blocks, where its gradient lay

  // The forms of what a step writes; null for what there is not.
  std::array<const Form*, 5> written() const {
    return {&param_form, velocity_form ? &*velocity_form : nullptr, compensation_form ? &*compensation_form : nullptr,
            scales_form ? &*scales_form : nullptr, average_form ? &*average_form : nullptr};
  }
};

// The gradients of one step, kept alive while their addresses are in use. Whoever steps owns them: another thread may
// take up others meanwhile.
struct Gradients {
  std::vector<nb::object> owned;
  std::vector<const void*> addresses;  // of those that are stepped

  void clear() {
    owned.clear();
    addresses.clear();
  }
};

class Plan {
 public:
  // Each row is as row.h has it, without a gradient, for which parameters are asked; without a kind where something else
  // steps a parameter, whose memory must only lie apart.
  Plan(const nb::list& rows, nb::handle exchange, nb::object tensor_type, const nb::tuple& names)
      : reader_(exchange, std::move(tensor_type)) {
    if (nb::len(names) != 4 && nb::len(names) != 6 && nb::len(names) != 7)
      throw std::invalid_argument(
          "four names are needed: local part, spec, and two of state; codes and scales may follow, and the average");
    for (nb::handle name : names)
      if (!PyUnicode_Check(name.ptr())) throw std::invalid_argument("a name of an attribute must be a string");
    names_ = {nb::str("grad"), nb::object(names[0]), nb::object(names[1]), nb::object(names[2]), nb::object(names[3]), {}, {},
              {}};
    if (nb::len(names) > 4) names_.codes = nb::object(names[4]), names_.scales = nb::object(names[5]);
    if (nb::len(names) > 6) names_.average = nb::object(names[6]);
    for (nb::handle item : rows) add(GivenRow(item));
    std::vector<Span> written;
    for (const Row& row : rows_)
      for (const Form* form : row.written())
        if (form != nullptr) written.push_back(form->span());
    if (!territory_.take(std::move(written))) throw std::invalid_argument("two tensors that a step writes overlap");
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
    Gradients found = std::exchange(taken_, {});
    found.clear();
    const bool holds = take_up(found);
    if (holds) taken_ = std::move(found);
    return holds;
  }

  // Steps with the gradients last taken up, and six coefficients for each group.
  void step(const std::vector<double>& coefficients, std::uint32_t key) {
    const Shared own = by_group(coefficients);
    const Lent lent(*this);
    coefficients_ = own;
    run(lent.gradients, *own, key);
  }

  // Takes a whole step, if since the last one nothing has changed but gradients and what drives itself; and returns the
  // gradients' sum of squares, or 0 if not asked for. Else nothing is done, and nothing returned.
  //
  // `coefficients`: six for each group; none for those of the last step. `asks`: whether to do nothing unless all
  // gradients are finite and their norm is at most `largest_norm`, or else `clipped`, called with a factor that makes it
  // so, gives the coefficients for gradients times the factor.
  std::optional<double> repeat(nb::handle groups, nb::handle state, std::uint32_t key,
                               const std::optional<std::vector<double>>& coefficients, bool asks, double largest_norm,
                               const nb::object& clipped) {
    if (!groups_hold(groups, state) || !groups_->values_hold()) return {};
    Own own(*this);
    if (!take_up(own.gradients)) return {};
    double squares = 0;
    Shared present;
    if (asks) {
      const BlockSum sum = sum_of(own.gradients);
      squares = sum.squares;
      if (!sum.finite || !std::isfinite(squares)) return {};
      if (const double norm = std::sqrt(squares); norm > largest_norm) {
        if (clipped.is_none()) return {};
        const nb::object found = clipped(largest_norm / norm);
        if (found.is_none()) return {};
        present = by_group(nb::cast<std::vector<double>>(found));
      }
    }
    if (coefficients) coefficients_ = by_group(*coefficients);
    if (present == nullptr) present = coefficients_;
    if (present == nullptr) return {};
    run(own.gradients, *present, key);
    return squares;
  }

  // Sum of squares of the gradients last taken up, and whether all of them are finite.
  std::pair<double, bool> sum_of_squares() {
    const Lent lent(*this);
    const BlockSum sum = sum_of(lent.gradients);
    return {sum.squares, sum.finite};
  }

  // Forgets the gradients, whose memory would otherwise live until the next step.
  void let_go() { std::exchange(taken_, {}).clear(); }

  std::size_t elements() const { return elements_; }

  // Every Python object that a plan holds, for the collector of circles; in a plan that it has broken there is nothing.
  template <class Visit>
  int visit(Visit&& visit) const {
    for (const Row& row : rows_)
      for (const nb::object* held : {&row.param, &row.state, &row.spec, &row.velocity, &row.compensation, &row.scales, &row.average})
        if (int stop = visit(*held)) return stop;
    for (const std::vector<nb::object>* all : {&taken_.owned, &spare_.owned})
      for (const nb::object& held : *all)
        if (int stop = visit(held)) return stop;
    for (const nb::object* held : {&touch_, &written_})
      if (int stop = visit(*held)) return stop;
    if (int stop = reader_.visit(visit)) return stop;
    return groups_ ? groups_->visit(visit) : 0;
  }

  void break_circles() {
    let_go();
    const auto rows = std::exchange(rows_, {});  // dropped when the plan is whole again
    const auto groups = std::exchange(groups_, {});
    const nb::object touch = std::exchange(touch_, {}), written = std::exchange(written_, {});
    entries_.clear();
    coefficients_ = nullptr;
    is_broken_ = true;
  }

 private:
  // The gradients last taken up, out of the plan while they are used.
  struct Lent {
    explicit Lent(Plan& plan) : plan_(plan), gradients(std::exchange(plan.taken_, {})) {
      if (gradients.addresses.size() != plan.entries_.size() || gradients.owned.size() < plan.rows_.size() ||
          plan.is_broken_) {
        gradients.clear();
        throw std::logic_error("a plan must be refreshed before each use, and used by one thread at a time");
      }
    }
    ~Lent() {
      if (plan_.taken_.owned.empty()) std::swap(plan_.taken_, gradients);
    }
    Plan& plan_;
    Gradients gradients;
  };

  // Gradients of one call, in memory that the last call left.
  struct Own {
    explicit Own(Plan& plan) : plan_(plan), gradients(std::exchange(plan.spare_, {})) {}
    ~Own() {
      gradients.clear();
      if (plan_.spare_.owned.capacity() == 0) std::swap(plan_.spare_, gradients);
    }
    Plan& plan_;
    Gradients gradients;
  };

  // Coefficients by group, shared by the plan and by a step that another thread's may overtake.
  using Shared = std::shared_ptr<const std::vector<Coefficients>>;

  void add(const GivenRow& given) {
    const nb::object param = given[Field::param], state = given[Field::state], spec = given[Field::spec];
    const nb::object velocity = given[Field::velocity], compensation = given[Field::compensation];
    const nb::object scales = given[Field::scales], average = given[Field::average];
    if ((given.has(Field::scales) && !names_.scales.is_valid()) ||
        (given.has(Field::average) && !names_.average.is_valid()))
      throw std::invalid_argument("scales and an average need the names under which a state has them");
    if (given.has(Field::factors)) throw std::invalid_argument("factors by unit are one step's, and a plan is for many");
    const bool is_distributed = !spec.is_none();
    const bool is_stepped = given.has(Field::kind);
    const int group = is_stepped ? given.number<int>(Field::kind) : 0;
    if (group < 0) throw std::invalid_argument("a group is not negative");
    const auto viewed = [&](const nb::object& tensor) {
      const nb::object own = is_distributed ? attribute(tensor, names_.local) : tensor;
      DLTensor view;
      if (!reader_.look(own, view)) throw std::invalid_argument("a tensor of a plan has no memory to look at");
      if (is_stepped && reader_.is_marked(own)) throw std::invalid_argument("a tensor is not what lies in its memory");
      return view;
    };
    const auto viewed_or_absent = [&](const nb::object& tensor) {
      return tensor.is_none() ? std::optional<DLTensor>() : std::optional<DLTensor>(viewed(tensor));
    };
    const Views views{viewed(param), viewed(attribute(param, names_.grad)), viewed_or_absent(velocity),
                      viewed_or_absent(compensation), viewed_or_absent(scales), viewed_or_absent(average)};
    std::optional<Entry> entry;
    if (is_stepped) {
      entry = entry_of(views, given.rounding());
      entry->group = group;
      take_numbers(*entry, given);
    }
    const bool has_state = !(velocity.is_none() && compensation.is_none() && scales.is_none() && average.is_none());
    if (!PyDict_Check(state.ptr()) && has_state)
      throw std::invalid_argument("what a parameter has of state is in a dict");
    const auto form_of = [&](const DLTensor& view) { return Form(view, layouts_); };
    Row row{param, state, spec, velocity, compensation, scales, average, form_of(views.param), form_of(views.grad), {}, {},
            {},    {},    -1,   false,    {0, 0}};
    if (views.velocity) row.velocity_form = form_of(*views.velocity);
    if (views.compensation) row.compensation_form = form_of(*views.compensation);
    if (views.scales) row.scales_form = form_of(*views.scales);
    if (views.average) row.average_form = form_of(*views.average);
    if (entry) {
      group_count_ = std::max(group_count_, static_cast<std::size_t>(group) + 1);
      elements_ += entry->count;
      row.place = static_cast<std::ptrdiff_t>(entries_.size());
      entries_.push_back(*entry);
    } else {
      row.was_plain = is_well(attribute(param, names_.grad), views.grad);
    }
    rows_.push_back(std::move(row));
  }

  // Takes up the gradients that the parameters have now, and looks whether everything is as it was.
  bool take_up(Gradients& found) {
    if (is_broken_) return false;
    found.owned.reserve(rows_.size());
    found.addresses.resize(entries_.size());
    for (Row& row : rows_) {
      nb::object grad = attribute(row.param, names_.grad);
      if (!row.spec.is_none()) {
        if (!grad.type().is(row.param.type()) || !same_spec(attribute(grad, names_.spec), row.spec)) return false;
        grad = attribute(grad, names_.local);
      }
      DLTensor view;
      if (row.place >= 0) {
        if (!reader_.is_plain(grad) || !reader_.look(grad, view)) return false;
        if (!row.grad_form.fits(view) || !is_well(grad, view)) return false;
        found.addresses[row.place] = address_of(view);
      } else if (!reader_.look(grad, view) || !row.grad_form.fits(view) || is_well(grad, view) != row.was_plain) {
        return false;  // for a gradient like any other the kernel may take the parameter
      }
      if (!territory_.is_apart(row.grad_form.span_at(address_of(view)), row.gap)) return false;
      if (!is_where(row.param, row.param_form, row)) return false;
      const nb::object& key = row.scales_form ? names_.codes : names_.velocity;
      if (row.velocity_form && !is_held(row, key, row.velocity, *row.velocity_form)) return false;
      if (row.scales_form && !is_held(row, names_.scales, row.scales, *row.scales_form)) return false;
      if (row.compensation_form && !is_held(row, names_.compensation, row.compensation, *row.compensation_form))
        return false;
      if (row.average_form && !is_held(row, names_.average, row.average, *row.average_form)) return false;
      found.owned.push_back(std::move(grad));
    }
    return true;
  }

  bool is_well(nb::handle tensor, const DLTensor& view) const { return is_there(view) && !reader_.is_marked(tensor); }

  static nb::object attribute(nb::handle object, nb::handle name) {
    PyObject* found = PyObject_GetAttr(object.ptr(), name.ptr());
    if (found == nullptr) throw nb::python_error();
    return nb::steal(found);
  }

  static bool same_spec(nb::handle found, nb::handle expected) { return found.is(expected) || found.equal(expected); }

  // Whether a tensor of a row still lies where it did, in the same form, and is what lies there.
  bool is_where(nb::handle tensor, const Form& form, const Row& row) const {
    if (row.spec.is_none()) return is_local_where(tensor, form, row);
    const nb::object local = attribute(tensor, names_.local);
    return reader_.is_plain(local) && is_local_where(local, form, row);
  }

  bool is_local_where(nb::handle tensor, const Form& form, const Row& row) const {
    DLTensor view;
    return reader_.look(tensor, view) && form.fits_in_place(view) && (row.place < 0 || !reader_.is_marked(tensor));
  }

  // The same, and whether it is still what the parameter's state holds.
  bool is_held(const Row& row, const nb::object& key, const nb::object& tensor, const Form& form) const {
    return PyDict_GetItem(row.state.ptr(), key.ptr()) == tensor.ptr() && is_where(tensor, form, row);
  }

  Shared by_group(const std::vector<double>& coefficients) const {
    if (coefficients.size() != 6 * group_count_) throw std::invalid_argument("six coefficients per group are needed");
    return std::make_shared<const std::vector<Coefficients>>(grouped(coefficients));
  }

  // Neither what is stepped nor the gradients may change while the interpreter's lock is given up: entries never do, the
  // rest is the caller's own.
  void run(const Gradients& gradients, const std::vector<Coefficients>& coefficients, std::uint32_t key) const {
    // What is written behind autograd's back must count as a change for it. Before the step rather than after, since the
    // tensors' headers are then still in the cache.
    if (const nb::object touch = touch_, written = written_; touch) touch(written);
    std::optional<nb::gil_scoped_release> release;
    if (elements_ > worth_release) release.emplace();
    take_step(entries_, gradients.addresses, coefficients, key);
  }

  BlockSum sum_of(const Gradients& gradients) const {
    const nb::gil_scoped_release release;
    return downslope::sum_of_squares(entries_, gradients.addresses);
  }

  // Below this many elements a step is over sooner than another thread has taken the interpreter's lock and given it back.
  static constexpr std::size_t worth_release = std::size_t{1} << 15;

  Reader reader_;
  Names names_;
  Form::Layouts layouts_;
  std::vector<Row> rows_;
  std::vector<Entry> entries_;
  Territory territory_;
  Gradients taken_, spare_;
  std::size_t group_count_ = 0;
  std::size_t elements_ = 0;  // of what is stepped
  Shared coefficients_;       // of the last step
  std::optional<Groups> groups_;
  nb::object touch_, written_;
  bool is_broken_ = false;
};

}  // namespace

void bind_plan(nb::module_& m) {
  nb::list fields;
  for (const char* name : field_names) fields.append(name);
  m.attr("ROW") = nb::tuple(fields);
  nb::class_<Plan>(m, "Plan", nb::type_slots(collected<Plan>))
      .def(nb::init<const nb::list&, nb::handle, nb::object, const nb::tuple&>(), "rows"_a, "exchange"_a, "tensor_type"_a,
           "names"_a)
      .def("watch", &Plan::watch, "groups"_a, "state"_a, "watched"_a, "touch"_a, "written"_a)
      .def("groups_hold", &Plan::groups_hold, "groups"_a, "state"_a)
      .def("values_hold", &Plan::values_hold)
      .def("take_values", &Plan::take_values)
      .def("refresh", &Plan::refresh)
      .def("step", &Plan::step, "coefficients"_a, "key"_a)
      .def("repeat", &Plan::repeat, "groups"_a, "state"_a, "key"_a, "coefficients"_a.none(), "asks"_a, "largest_norm"_a,
           "clipped"_a.none())
      .def("sum_of_squares", &Plan::sum_of_squares)
      .def("let_go", &Plan::let_go)
      .def("elements", &Plan::elements);
}

}  // namespace downslope
