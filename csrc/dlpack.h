// How a framework's tensor is looked at without any header of the framework: DLPack's C exchange API, version 1.
//
// Frameworks put a table of functions into a capsule on their tensor type; one of them fills in where a tensor lies and
// how, without taking a reference. Only what is read here is declared.
//
// The ABI: https://dmlc.github.io/dlpack/latest/c_api.html (DLPackExchangeAPI, DLTensor).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "kernel_table.h"
#include "territory.h"

namespace downslope {

struct DLDataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
inline bool operator==(DLDataType a, DLDataType b) { return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes; }

struct DLTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;    // elements
  std::int64_t* strides;  // elements; null for a contiguous tensor
  std::uint64_t byte_offset;
};

struct DLPackExchangeAPI {
  std::uint32_t major, minor;
  void* previous;
  void* allocate;
  void* managed_from_object;
  void* managed_to_object;
  int (*view_from_object)(void* object, DLTensor* out);  // borrowed; -1 with a Python error set, or null
  void* current_stream;
};

inline constexpr const char* exchange_capsule_name = "dlpack_exchange_api";
inline constexpr std::int32_t dl_cpu = 1;
inline constexpr std::uint8_t dl_int = 0, dl_float = 2, dl_bfloat = 4;

// Returns the number format, or Format::count if the kernels do not know it.
inline Format format_of(DLDataType type) {
  if (type.lanes != 1) return Format::count;
  if (type.code == dl_bfloat) return type.bits == 16 ? Format::bfloat16 : Format::count;
  if (type.code != dl_float) return Format::count;
  switch (type.bits) {
    case 16: return Format::float16;
    case 32: return Format::float32;
    case 64: return Format::float64;
    default: return Format::count;
  }
}

inline void* address_of(const DLTensor& tensor) { return static_cast<char*>(tensor.data) + tensor.byte_offset; }

inline std::size_t count_of(const DLTensor& tensor) {
  std::size_t count = 1;
  for (std::int32_t i = 0; i < tensor.ndim; ++i) count *= static_cast<std::size_t>(tensor.shape[i]);
  return count;
}

inline std::size_t element_size(DLDataType type) { return (std::size_t{type.bits} * type.lanes + 7) / 8; }

// The memory from a tensor's first byte to its last, gaps included; empty if it has no elements.
inline Span span_of(const DLTensor& tensor) {
  const auto address = reinterpret_cast<std::uintptr_t>(address_of(tensor));
  if (count_of(tensor) == 0 || address == 0) return {address, address};
  std::int64_t first = 0, last = 0;  // elements
  if (tensor.strides == nullptr) {
    last = static_cast<std::int64_t>(count_of(tensor)) - 1;
  } else {
    for (std::int32_t i = 0; i < tensor.ndim; ++i)
      (tensor.strides[i] < 0 ? first : last) += (tensor.shape[i] - 1) * tensor.strides[i];
  }
  const auto size = static_cast<std::int64_t>(element_size(tensor.dtype));
  return {address + static_cast<std::uintptr_t>(first * size), address + static_cast<std::uintptr_t>((last + 1) * size)};
}

// Whether a tensor has memory, its elements where their format wants them. Of a view into memory that was given back the
// address is its distance from null: no process has anything at the lowest ones.
inline bool is_there(const DLTensor& tensor) {
  constexpr std::uintptr_t lowest = 1 << 16;
  const auto address = reinterpret_cast<std::uintptr_t>(address_of(tensor));
  const std::size_t size = element_size(tensor.dtype);
  return address >= lowest && size != 0 && address % size == 0;
}

// Whether a tensor's elements fill a block of memory without gaps or overlaps, in whatever order.
inline bool is_dense(const DLTensor& tensor) {
  if (tensor.ndim > 0 && tensor.strides == nullptr) return true;
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;  // (stride, size) of every dimension that counts
  for (std::int32_t i = 0; i < tensor.ndim; ++i)
    if (tensor.shape[i] != 1) steps.emplace_back(tensor.strides[i], tensor.shape[i]);
  std::sort(steps.begin(), steps.end());
  std::int64_t expected = 1;
  for (const auto& [stride, size] : steps) {
    if (stride != expected) return false;
    expected *= size;
  }
  return true;
}

// Whether a tensor's elements fill a block of memory in row-major order.
inline bool is_contiguous(const DLTensor& tensor) {
  if (tensor.strides == nullptr) return true;
  std::int64_t expected = 1;
  for (std::int32_t i = tensor.ndim; i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// Whether two tensors have the same shape, and their elements in the same order.
inline bool same_layout(const DLTensor& a, const DLTensor& b) {
  if (a.ndim != b.ndim || (a.ndim > 0 && (a.strides == nullptr || b.strides == nullptr))) return false;
  for (std::int32_t i = 0; i < a.ndim; ++i)
    if (a.shape[i] != b.shape[i] || (a.shape[i] != 1 && a.strides[i] != b.strides[i])) return false;
  return true;
}

// What must not change about a tensor while its address is used: format, place, shape and strides. The address alone
// would not tell: the first half of a tensor begins where the whole does, and so does a transposed matrix.
class Form {
 public:
  // Shapes with strides, each once: tensors of one plan have few, which then stay in the processor's cache.
  using Layouts = std::set<std::vector<std::int64_t>>;

  Form(const DLTensor& tensor, Layouts& layouts)
      : address_(reinterpret_cast<std::uintptr_t>(address_of(tensor))),
        device_(tensor.device_type), type_(tensor.dtype), ndim_(tensor.ndim) {
    if (tensor.ndim > 0 && tensor.strides == nullptr) throw std::invalid_argument("a tensor must state its strides");
    std::vector<std::int64_t> numbers(tensor.shape, tensor.shape + ndim_);
    numbers.insert(numbers.end(), tensor.strides, tensor.strides + ndim_);
    numbers_ = layouts.insert(std::move(numbers)).first->data();
    const Span span = span_of(tensor);
    before_ = address_ - span.begin;
    after_ = span.end - address_;
  }

  // The memory of the tensor, and of one of its form whose first element lies at another address.
  Span span() const { return {address_ - before_, address_ + after_}; }
  Span span_at(const void* address) const {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    return {at - before_, at + after_};
  }

  bool fits(const DLTensor& tensor) const {
    if (tensor.device_type != device_ || !(tensor.dtype == type_) || tensor.ndim != ndim_) return false;
    if (ndim_ != 0 && tensor.strides == nullptr) return false;
    const std::int64_t* strides = numbers_ + ndim_;
    for (std::int32_t i = 0; i < ndim_; ++i)  // seldom more than four, for which a call of memcmp takes longer
      if (tensor.shape[i] != numbers_[i] || tensor.strides[i] != strides[i]) return false;
    return true;
  }

  bool fits_in_place(const DLTensor& tensor) const {
    return reinterpret_cast<std::uintptr_t>(address_of(tensor)) == address_ && fits(tensor);
  }

 private:
  std::uintptr_t address_;
  std::int32_t device_;
  DLDataType type_;
  std::int32_t ndim_;
  const std::int64_t* numbers_;    // shape, then strides; among the layouts
  std::uintptr_t before_, after_;  // bytes from the first element to the span's ends
};

}  // namespace downslope
