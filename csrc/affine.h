// The affine step: one pass over param, grad and velocity with six coefficients and no options.
//
//   delta    = delta_param * param + delta_grad * grad + delta_velocity * velocity
//   velocity = velocity_param * param + velocity_grad * grad + velocity_velocity * velocity
//   param    = param + delta
//
// The coefficients are derived in float64 from the update rule (core/rule.py); every option of the optimizer is in
// them. All arithmetic is in float32 (float64 for float64 parameters). This file is compiled once per instruction set,
// without contraction to fused multiply-add, so that all of them give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rounding.h"

namespace downslope {

struct Coefficients {
  double delta_param, delta_grad, delta_velocity;
  double velocity_param, velocity_grad, velocity_velocity;
};

// One tensor's share of a step, or a part of it.
struct Piece {
  void* param;          // read and written, `count` elements
  const void* grad;     // read, in param's format
  void* velocity;       // read and written, in its own format; null where there is no momentum
  void* compensation;   // bfloat16, read and written; null unless the parameter is compensated (Kahan)
  std::size_t count;    // elements
  std::uint32_t key;    // key of this tensor's random numbers in this step
  std::uint32_t first;  // index of the first element, within its tensor
  float* scales;        // of the blocks, read and written, where the velocity is codes; the piece begins at a block
  bool asks_for_lines;  // whether float32 is asked for line by line ahead of its use, or only by pages (kernel_parts.h)
};

using Kernel = void (*)(const Piece&, const Coefficients&);

}  // namespace downslope
