// The step of float32 parameters whose velocity is codes, by hand: block by block, the work on two of them interleaved.
//
// A block's codes need its largest magnitude, which is known when all of it is stepped: by way of a maximum, a root and a
// quotient, for which a processor would wait if it went on with the same block. So a block is encoded after the next one
// is stepped. Square roots are taken with the step, whose products and sums other units compute meanwhile.
// The same numbers as the plain loops in kernels.cpp give, operation by operation.
#pragma once

#include "blocks.h"
#include "kernel_parts.h"
#include "lanes.h"

#ifdef DOWNSLOPE_LANES

namespace downslope::DOWNSLOPE_ISA {
namespace {

class CodedBlocks {
 public:
  // Steps one whole block, of whose codes none stands for what is not finite. They are written with the next, or by
  // `finish`.
  template <bool decays>
  void step(float* params, const float* grads, std::int8_t* codes, float& scale, const Weights<float>& weights) {
    float* roots = last_roots_ == roots_[0] ? roots_[1] : roots_[0];
    const std::uint32_t largest = step_values<decays>(params, grads, codes, scale, roots, weights);
    finish();
    if (largest < infinity_bits) {
      scale = std::bit_cast<float>(largest);
      factor_ = factor_of(scale);
      last_ = codes;
      last_roots_ = roots;
    } else {
      scale = encode_specials(values_, codes, block_length);
    }
  }

  void finish() {
    if (last_ == nullptr) return;
    const Floats factor = all(factor_);
    for (std::size_t i = 0; i < block_length; i += tile) store_rounded(last_ + i, last_roots_ + i, factor);
    last_ = nullptr;
  }

 private:
  // Returns the bits of the largest magnitude of the new velocities, and writes these and their roots.
  template <bool decays>
  std::uint32_t step_values(float* __restrict__ params, const float* __restrict__ grads,
                            const std::int8_t* __restrict__ codes, float scale, float* __restrict__ roots,
                            const Weights<float>& w) {
    const Floats delta_param = all(w.delta_param), delta_grad = all(w.delta_grad), delta_velocity = all(w.delta_velocity);
    const Floats velocity_param = all(w.velocity_param), velocity_grad = all(w.velocity_grad);
    const Floats velocity_velocity = all(w.velocity_velocity), unit = all(code_unit), scales = all(scale);
    float* __restrict__ values = values_;
    Bits largest = no_bits();
    prefetch_page<true>(params, block_length);
    prefetch_page<false>(grads, block_length);
    prefetch_page<true>(codes, block_length);
    for (std::size_t at = 0; at < block_length; at += tile) {
      prefetch<true>(params + at, tile);
      prefetch<false>(grads + at, tile);
      for (std::size_t i = at; i < at + tile; i += lanes) {
        const Floats root = load_codes(codes + i), grad = load(grads + i), param = load(params + i);
        const Floats velocity = root * magnitudes(root) * unit * scales;
        Floats delta = delta_grad * grad, next = velocity_grad * grad;
        if constexpr (decays) delta = delta_param * param + delta, next = velocity_param * param + next;
        delta = delta + delta_velocity * velocity;
        next = next + velocity_velocity * velocity;
        store(params + i, param + delta);
        store(values + i, next);
        const Floats magnitude = magnitudes(next);
        largest = larger(largest, magnitude);
        store(roots + i, with_signs(square_roots(magnitude), next));
      }
    }
    return largest_lane(largest);
  }

  alignas(cache_line) float values_[block_length];
  alignas(cache_line) float roots_[2][block_length];
  // of the block stepped last: its codes if they are to be written, its roots, and their factor
  std::int8_t* last_ = nullptr;
  const float* last_roots_ = nullptr;
  float factor_ = 0;
};

}  // namespace
}  // namespace downslope::DOWNSLOPE_ISA

#endif
