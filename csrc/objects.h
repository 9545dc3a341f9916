// Python objects behind a step: asking a tensor where it lies, and noticing that an optimizer's groups have changed.
// All of it in calls that stay in C.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bind.h"
#include "dlpack.h"
#include "marks.h"

namespace downslope {

// Looks at tensors of one framework; `tensor_type` is the exact type that a tensor without tricks has.
class Reader {
 public:
  Reader(nb::handle capsule, nb::object tensor_type) : tensor_type_(std::move(tensor_type)) {
    api_ = static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.ptr(), exchange_capsule_name));
    if (api_ == nullptr) throw nb::python_error();
    if (api_->major != 1 || api_->view_from_object == nullptr)
      throw std::invalid_argument("the framework's DLPack exchange table is of another version");
    table_ = nb::borrow(capsule);
  }

  bool is_plain(nb::handle tensor) const { return tensor.type().is(tensor_type_); }

  // Whether a tensor that `is_plain` is to be read otherwise than it lies in memory.
  bool is_marked(nb::handle tensor) const { return marks().is_marked(tensor); }

  // Fills in `view`; false if the framework cannot say (a tensor without memory of its own). No reference is taken.
  bool look(nb::handle tensor, DLTensor& view) const {
    if (api_->view_from_object(tensor.ptr(), &view) == 0) return true;
    PyErr_Clear();
    return false;
  }

  template <class Visit>
  int visit(Visit&& visit) const {
    if (int stop = visit(table_)) return stop;
    return visit(tensor_type_);
  }

 private:
  const DLPackExchangeAPI* api_;
  nb::object table_;  // keeps the table alive
  nb::object tensor_type_;
};

// An optimizer's param_groups and state, as they were: which objects, not what they hold.
class Groups {
 public:
  // `watched`: the keys of a group on whose values a step's coefficients depend, each with the key that is not None
  // where something else (a schedule) drives the value, or None; one may be missing.
  Groups(const nb::list& groups, const nb::dict& state, const nb::list& watched)
      : groups_(groups), state_(state), params_key_(nb::str("params")) {
    for (nb::handle pair : watched) {
      keys_.push_back(nb::object(pair[0]));
      drivers_.push_back(nb::object(pair[1]));
      places_[keys_.back()] = nb::int_(keys_.size() - 1);
    }
    if (nb::len(places_) != keys_.size()) throw std::invalid_argument("a key is watched once");
    for (nb::handle item : groups) {
      if (!PyDict_Check(item.ptr())) throw std::invalid_argument("a group is a dict");
      Group group{nb::borrow(item), nb::object(item[params_key_]), {}, {}, {}, {}};
      for (nb::handle param : group.params) group.members.push_back(nb::borrow(param));
      group.values.resize(keys_.size());
      group.driven.resize(keys_.size());
      all_.push_back(std::move(group));
    }
    for (auto [_, value] : state) states_.push_back(nb::borrow(value));
    take_values();
  }

  // Whether the same parameters are in the same groups, with the same tables of state.
  bool hold(nb::handle groups, nb::handle state) const {
    if (!groups.is(groups_) || !state.is(state_)) return false;
    if (PyList_Size(groups.ptr()) != static_cast<Py_ssize_t>(all_.size())) return false;
    for (std::size_t g = 0; g < all_.size(); ++g) {
      const Group& group = all_[g];
      if (PyList_GetItem(groups.ptr(), static_cast<Py_ssize_t>(g)) != group.dict.ptr()) return false;
      PyObject* params = PyDict_GetItem(group.dict.ptr(), params_key_.ptr());
      if (params == nullptr || !PyList_Check(params)) return false;
      if (PyList_Size(params) != static_cast<Py_ssize_t>(group.members.size())) return false;
      for (std::size_t i = 0; i < group.members.size(); ++i)
        if (PyList_GetItem(params, static_cast<Py_ssize_t>(i)) != group.members[i].ptr()) return false;
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    std::size_t i = 0;
    while (PyDict_Next(state.ptr(), &position, &key, &value)) {
      if (i == states_.size() || value != states_[i].ptr()) return false;
      ++i;
    }
    return i == states_.size();
  }

  // Whether every watched value that nothing drives is the very object that it was.
  bool values_hold() const {
    for (const Group& group : all_) {
      if (items_hold(group)) continue;
      for (std::size_t k = 0; k < keys_.size(); ++k)
        if (!group.driven[k] && PyDict_GetItem(group.dict.ptr(), keys_[k].ptr()) != group.values[k].ptr()) return false;
    }
    return true;
  }

  // Takes the present values for those to compare with.
  void take_values() {
    for (Group& group : all_)
      for (std::size_t k = 0; k < keys_.size(); ++k) {
        group.values[k] = nb::borrow(PyDict_GetItem(group.dict.ptr(), keys_[k].ptr()));
        const PyObject* driver =
            drivers_[k].is_none() ? nullptr : PyDict_GetItem(group.dict.ptr(), drivers_[k].ptr());
        group.driven[k] = driver != nullptr && driver != Py_None;
      }
    for (Group& group : all_) take_items(group);
  }

  template <class Visit>
  int visit(Visit&& visit) const {
    for (const nb::handle held : {nb::handle(groups_), nb::handle(state_), nb::handle(places_)})
      if (int stop = visit(held)) return stop;
    for (const std::vector<nb::object>* all : {&keys_, &drivers_, &states_})
      for (const nb::object& held : *all)
        if (int stop = visit(held)) return stop;
    for (const Group& group : all_) {
      for (const nb::object* held : {&group.dict, &group.params})
        if (int stop = visit(*held)) return stop;
      for (const std::vector<nb::object>* all : {&group.members, &group.values})
        for (const nb::object& held : *all)
          if (int stop = visit(held)) return stop;
      for (const Item& item : group.items)
        if (int stop = visit(item.key)) return stop;
    }
    return 0;
  }

 private:
  // One item of a group's dict, and the value that it must still have; null if any will do.
  struct Item {
    nb::object key;
    PyObject* value;  // among the group's values
  };
  struct Group {
    nb::object dict, params;
    std::vector<nb::object> members, values;
    std::vector<bool> driven;
    std::vector<Item> items;
  };

  // Whether a group has the same keys in the same order, with the same values: true is the answer for the values, false is
  // none. From one item to the next takes a fifth of a look-up.
  static bool items_hold(const Group& group) {
    PyObject *key, *value;
    Py_ssize_t position = 0;
    std::size_t i = 0;
    while (PyDict_Next(group.dict.ptr(), &position, &key, &value)) {
      if (i == group.items.size() || key != group.items[i].key.ptr()) return false;
      const PyObject* expected = group.items[i++].value;
      if (expected != nullptr && value != expected) return false;
    }
    return i == group.items.size();
  }

  void take_items(Group& group) const {
    group.items.clear();
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(group.dict.ptr(), &position, &key, &value)) {
      const nb::handle place = PyDict_GetItem(places_.ptr(), key);
      const bool is_compared = place.is_valid() && !group.driven[nb::cast<std::size_t>(place)];
      group.items.push_back({nb::borrow(key), is_compared ? value : nullptr});
    }
  }

  nb::object groups_, state_;
  nb::object params_key_;
  std::vector<nb::object> keys_, drivers_, states_;
  nb::dict places_;  // of the keys
  std::vector<Group> all_;
};

}  // namespace downslope
