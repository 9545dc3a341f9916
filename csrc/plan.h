// A plan: the tensors of an optimizer's step, checked once and then stepped again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel_table.h"

namespace downslope {

// One tensor of a plan; its gradient's address comes with every step.
struct Entry {
  void* param;
  void* velocity;      // null where there is no momentum
  void* compensation;  // null unless rounding is compensated
  std::size_t count;   // elements
  int group;           // which coefficients
  Format format;       // of param and grad
  VelocityFormat velocity_format;
  Rounding rounding;
  std::uint32_t index;  // of the tensor, for its random numbers
  std::uint32_t first;  // index of its first element, for the same: above 0 where it is a part of a larger tensor
  float* scales = nullptr;  // of its velocity's blocks, where that is codes
  void* average = nullptr;  // of the parameter, in `average_format`; null where none is kept
  double weight = 0;        // of the new parameter in it
  // factors on the gradient, one for each `unit` elements from the first on, by which it is multiplied and rounded to its
  // format before the step; null where there are none
  const double* factors = nullptr;
  std::size_t unit = 0;
};

// An average that is kept in 16 bits would lose its updates.
constexpr Format average_format(Format format) {
  return format == Format::float64 ? Format::float64 : Format::float32;
}

// Takes one step: entry i with gradient grads[i] (null: no gradient, the entry stays) and coefficients[entry.group].
// `key` is that of the step's random numbers.
void take_step(const std::vector<Entry>& entries, const std::vector<const void*>& grads,
               const std::vector<Coefficients>& coefficients, std::uint32_t key);

// Sum of squares of all gradients, and whether all are finite; the same bits for any number of threads.
BlockSum sum_of_squares(const std::vector<Entry>& entries, const std::vector<const void*>& grads);

// Writes the Euclidean norm of each of `units` units of `length` elements that lie end to end; inf or NaN of one that holds
// such, or whose norm is beyond float64. The same bits for any number of threads, and whichever units are beside it.
void unit_norms(Format format, const void* values, std::size_t units, std::size_t length, double* norms);

// Bytes of one element; of a velocity that is absent, 0.
std::size_t element_size(Format format);
std::size_t element_size(VelocityFormat format);

// Whether there is a kernel for this combination.
bool has_kernel(Format format, VelocityFormat velocity_format, Rounding rounding);

// The instruction set in use, and a choice of another one by name for tests; false if this processor has not got it.
const char* instruction_set();
bool set_instruction_set(const char* name);

}  // namespace downslope
