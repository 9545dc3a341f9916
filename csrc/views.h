// From the views of one parameter's tensors to an entry of a step: what the kernels can take, decided in one place.
#pragma once

#include <optional>
#include <stdexcept>

#include "blocks.h"
#include "dlpack.h"
#include "plan.h"

namespace downslope {

struct Views {
  DLTensor param, grad;
  std::optional<DLTensor> velocity, compensation;
  std::optional<DLTensor> scales;  // where the velocity is codes
  std::optional<DLTensor> average;
  std::optional<DLTensor> factors;  // on the gradient, by units
};

// Whether the slices of a tensor along its first axis lie end to end, each of them in one block.
inline bool has_units(const DLTensor& tensor) {
  if (tensor.ndim < 1 || !is_dense(tensor)) return false;
  const auto count = static_cast<std::int64_t>(count_of(tensor));
  return count > 0 && (tensor.shape[0] == 1 || tensor.strides == nullptr || tensor.strides[0] * tensor.shape[0] == count);
}

// Whether a tensor has a number in float64 for each unit of another.
inline bool is_by_unit(const DLTensor& numbers, const DLTensor& tensor) {
  return numbers.device_type == dl_cpu && format_of(numbers.dtype) == Format::float64 && numbers.ndim == 1 &&
         is_contiguous(numbers) && is_there(numbers) && numbers.shape[0] == tensor.shape[0];
}

// VelocityFormat::count if the kernels do not know it.
inline VelocityFormat velocity_format_of(const Views& views) {
  if (!views.velocity) return VelocityFormat::absent;
  if (views.scales) return VelocityFormat::coded;
  const Format format = format_of(views.velocity->dtype);
  return format == Format::count ? VelocityFormat::count : static_cast<VelocityFormat>(format);
}

// Returns why a velocity of codes is none of the kernels', or null.
inline const char* misfit_of_codes(const Views& views) {
  const DLTensor &scales = *views.scales, &param = views.param;
  if (!views.velocity || !(views.velocity->dtype == DLDataType{dl_int, 8, 1})) return "scales go with codes of int8";
  if (!is_contiguous(param)) return "blocks of codes are in row-major order, and so must be their parameter";
  if (scales.device_type != dl_cpu || format_of(scales.dtype) != Format::float32 || scales.ndim != 1 ||
      !is_contiguous(scales) || !is_there(scales))
    return "scales must be float32 in one row on the CPU";
  return count_of(scales) < blocks_of(count_of(param)) ? "every block of codes has a scale" : nullptr;
}

// Returns why the kernels cannot take these tensors, or null. All must lie dense on the CPU, with one shape and one
// order of elements, gradients in the parameter's format.
inline const char* misfit(const Views& views, Rounding rounding) {
  const DLTensor& param = views.param;
  const auto fits = [&](const std::optional<DLTensor>& tensor) {
    return !tensor || (tensor->device_type == dl_cpu && same_layout(*tensor, param));
  };
  const auto lies_well = [](const std::optional<DLTensor>& tensor) { return !tensor || is_there(*tensor); };
  if (param.device_type != dl_cpu || !is_dense(param)) return "a parameter must lie on the CPU in one dense block";
  if (count_of(param) == 0) return "an empty tensor has no place here";
  if (!lies_well(param) || !lies_well(views.grad) || !lies_well(views.velocity) || !lies_well(views.compensation) ||
      !lies_well(views.average))
    return "a tensor must have memory, aligned to its elements";
  if (!fits(views.grad) || !fits(views.velocity) || !fits(views.compensation) || !fits(views.average))
    return "the tensors of a parameter must have one layout";
  if (!(views.grad.dtype == param.dtype)) return "a gradient must have its parameter's format";
  if (views.compensation.has_value() != (rounding == Rounding::compensated))
    return "a compensation goes with compensated rounding";
  if (views.compensation && format_of(views.compensation->dtype) != Format::bfloat16)
    return "a compensation must be bfloat16";
  const Format format = format_of(param.dtype);
  if (views.average && format_of(views.average->dtype) != average_format(format))
    return "an average must be float32, of float64 parameters float64";
  if (views.factors && !(has_units(param) && is_by_unit(*views.factors, param)))
    return "factors by unit must be float64 in one row on the CPU, one for each slice along the first axis";
  if (views.scales)
    if (const char* reason = misfit_of_codes(views)) return reason;
  const VelocityFormat velocity_format = velocity_format_of(views);
  if (format == Format::count || velocity_format == VelocityFormat::count)
    return "the kernels do not know this number format";
  return has_kernel(format, velocity_format, rounding) ? nullptr : "no kernel for this combination of formats";
}

// Returns the entry of tensors that fit, its group and the numbers of its elements not yet set.
inline Entry entry_of(const Views& views, Rounding rounding) {
  if (const char* reason = misfit(views, rounding)) throw std::invalid_argument(reason);
  Entry entry{};
  entry.param = address_of(views.param);
  entry.count = count_of(views.param);
  entry.format = format_of(views.param.dtype);
  entry.velocity_format = velocity_format_of(views);
  entry.rounding = rounding;
  if (views.velocity) entry.velocity = address_of(*views.velocity);
  if (views.scales) entry.scales = static_cast<float*>(address_of(*views.scales));
  if (views.compensation) entry.compensation = address_of(*views.compensation);
  if (views.average) entry.average = address_of(*views.average);
  if (views.factors) {
    entry.factors = static_cast<const double*>(address_of(*views.factors));
    entry.unit = entry.count / static_cast<std::size_t>(views.param.shape[0]);
  }
  return entry;
}

}  // namespace downslope
