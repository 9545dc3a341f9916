// The kernels of one instruction set. Compiled several times, each time with other flags and another namespace
// (DOWNSLOPE_ISA); plan.cpp picks one when the program runs. Loops are plain: compilers vectorise them, and since
// nothing is reordered or contracted, every instruction set gives the same bits. One is by hand besides: coded_blocks.h.

#include <type_traits>

#include "blocks.h"
#include "coded_blocks.h"
#include "kernel_parts.h"
#include "kernel_table.h"

namespace downslope::DOWNSLOPE_ISA {
namespace {

struct absent {};

// The loop itself; a function of its own because compilers believe __restrict__ only of parameters. Where nothing
// decays, the terms of param are left out: a coefficient of 0 times a parameter of infinity would be NaN.
template <class Param, class Velocity, Rounding rounding, bool decays, class Compute>
inline void run(Param* __restrict__ params, const Param* __restrict__ grads, Velocity* __restrict__ velocities,
                bfloat16* __restrict__ compensations, std::size_t count, std::uint32_t key, std::uint32_t first,
                const Weights<Compute> w) {
  for (std::size_t i = 0; i < count; ++i) {
    const Compute param = static_cast<Compute>(widen(params[i]));
    const Compute grad = static_cast<Compute>(widen(grads[i]));
    Compute delta = w.delta_grad * grad;
    if constexpr (decays) delta = w.delta_param * param + delta;
    if constexpr (!std::is_same_v<Velocity, absent>) {
      const Compute velocity = static_cast<Compute>(widen(velocities[i]));
      delta += w.delta_velocity * velocity;
      Compute next = w.velocity_grad * grad;
      if constexpr (decays) next = w.velocity_param * param + next;
      velocities[i] = narrow<Velocity>(next + w.velocity_velocity * velocity);
    }
    if constexpr (rounding == Rounding::nearest) {
      params[i] = narrow<Param>(param + delta);
    } else if constexpr (rounding == Rounding::stochastic) {
      const std::uint32_t element = first + static_cast<std::uint32_t>(i);
      params[i] = narrow_stochastically(param + delta, random_bits(key, element));
    } else {
      // what rounding dropped so far is added before rounding, and what it drops now is kept (Kahan 1965); beside an
      // infinity nothing is, since infinity less what was dropped on the way there would be NaN
      const float wanted = delta + widen(compensations[i]);
      const std::uint16_t moved = narrow<bfloat16>(param + wanted).bits;
      const bool is_finite = (moved & 0x7f80u) != 0x7f80u;
      const std::uint32_t dropped = narrow<bfloat16>(wanted - (widen(bfloat16{moved}) - param)).bits;
      compensations[i].bits = static_cast<std::uint16_t>(select(is_finite, dropped, 0u));
      params[i].bits = moved;
    }
  }
}

template <class Param, class Velocity, Rounding rounding>
void step(const Piece& piece, const Coefficients& coefficients) {
  constexpr bool has_velocity = !std::is_same_v<Velocity, absent>;
  const Weights<ComputeOf<Param>> weights(coefficients);
  const auto run_all = [&](auto decays, auto prefetch_part) {
    const auto run_part = [&](std::size_t begin, std::size_t count) {
      run<Param, Velocity, rounding, decays.value>(
          static_cast<Param*>(piece.param) + begin, static_cast<const Param*>(piece.grad) + begin,
          piece.velocity ? static_cast<Velocity*>(piece.velocity) + begin : nullptr,
          piece.compensation ? static_cast<bfloat16*>(piece.compensation) + begin : nullptr, count, piece.key,
          piece.first + static_cast<std::uint32_t>(begin), weights);
    };
    std::size_t begin = 0;
    for (; begin + tile <= piece.count; begin += tile) {
      prefetch_part(begin);
      run_part(begin, tile);
    }
    run_part(begin, piece.count - begin);
  };
  const auto prefetch_lines = [&](std::size_t begin) {
    prefetch<true>(static_cast<const Param*>(piece.param) + begin, tile);
    prefetch<false>(static_cast<const Param*>(piece.grad) + begin, tile);
    if constexpr (has_velocity) prefetch<true>(static_cast<const Velocity*>(piece.velocity) + begin, tile);
  };
  const auto run_by = [&](auto prefetch_part) {
    if (coefficients.delta_param == 0 && coefficients.velocity_param == 0) {
      run_all(std::false_type{}, prefetch_part);
    } else {
      run_all(std::true_type{}, prefetch_part);
    }
  };
  if constexpr (std::is_same_v<Param, float> && std::is_same_v<Velocity, float>) {  // measured for these alone
    if (!piece.asks_for_lines) {
      run_by([&](std::size_t begin) {
        prefetch_page<true>(static_cast<const float*>(piece.param) + begin, tile);
        prefetch_page<false>(static_cast<const float*>(piece.grad) + begin, tile);
        prefetch_page<true>(static_cast<const float*>(piece.velocity) + begin, tile);
      });
      return;
    }
  }
  run_by(prefetch_lines);
}

// The same with a velocity of codes, block by block: decoded into the nearest cache, stepped there, and encoded again.
template <class Param, Rounding rounding, bool decays>
void step_blocks(const Piece& piece, const Weights<float>& weights) {
  alignas(cache_line) float velocities[block_length];
  std::int8_t* codes = static_cast<std::int8_t*>(piece.velocity);
  Param* params = static_cast<Param*>(piece.param);
  const Param* grads = static_cast<const Param*>(piece.grad);
  const auto run_part = [&](std::size_t begin, float scale, float* decoded, std::size_t count) {
    decode(codes + begin, scale, decoded, count);
    run<Param, float, rounding, decays>(params + begin, grads + begin, decoded,
                                        piece.compensation ? static_cast<bfloat16*>(piece.compensation) + begin : nullptr,
                                        count, piece.key, piece.first + static_cast<std::uint32_t>(begin), weights);
  };
  const auto step_block = [&](std::size_t begin, std::size_t count) {
    float& scale = piece.scales[begin / block_length];
    std::size_t at = 0;
    for (; at + tile <= count; at += tile) {
      prefetch<true>(params + begin + at, tile);
      prefetch<false>(grads + begin + at, tile);
      prefetch<true>(codes + begin + at, tile);
      run_part(begin + at, scale, velocities + at, tile);
    }
    if (at < count) run_part(begin + at, scale, velocities + at, count - at);
    const std::uint32_t largest = largest_of(velocities, count);
    if (largest < infinity_bits) {
      scale = std::bit_cast<float>(largest);
      encode(velocities, factor_of(scale), codes + begin, count);
    } else {
      scale = encode_specials(velocities, codes + begin, count);
    }
  };
  std::size_t begin = 0;
#ifdef DOWNSLOPE_LANES
  if constexpr (std::is_same_v<Param, float>) {
    CodedBlocks blocks;
    for (; begin + block_length <= piece.count; begin += block_length) {
      float& scale = piece.scales[begin / block_length];
      if (is_plain(scale)) {
        blocks.template step<decays>(params + begin, grads + begin, codes + begin, scale, weights);
      } else {
        step_block(begin, block_length);
      }
    }
    blocks.finish();
  }
#endif
  for (; begin + block_length <= piece.count; begin += block_length) step_block(begin, block_length);
  if (begin < piece.count) step_block(begin, piece.count - begin);
}

template <class Param, Rounding rounding>
void step_coded(const Piece& piece, const Coefficients& coefficients) {
  const Weights<float> weights(coefficients);
  if (coefficients.delta_param == 0 && coefficients.velocity_param == 0) {
    step_blocks<Param, rounding, false>(piece, weights);
  } else {
    step_blocks<Param, rounding, true>(piece, weights);
  }
}

// average += weight * (param - average), each operation rounded by itself.
template <class Param>
void average_in(const void* params, void* averages, std::size_t count, double weight, bool asks_for_lines) {
  using Average = ComputeOf<Param>;
  const Param* __restrict__ values = static_cast<const Param*>(params);
  Average* __restrict__ kept = static_cast<Average*>(averages);
  const Average share = static_cast<Average>(weight);
  for (std::size_t at = 0; at < count; at += tile) {
    if (asks_for_lines) {
      prefetch<true>(kept + at, tile);
    } else {
      prefetch_page<true>(kept + at, tile);
    }
    const std::size_t stop = count - at < tile ? count : at + tile;
    for (std::size_t i = at; i < stop; ++i)
      kept[i] = kept[i] + share * (static_cast<Average>(widen(values[i])) - kept[i]);
  }
}

template <class Element>
void scale(const void* values, void* scaled, std::size_t count, double factor) {
  using Compute = ComputeOf<Element>;
  const Element* __restrict__ from = static_cast<const Element*>(values);
  Element* __restrict__ to = static_cast<Element*>(scaled);
  const Compute share = static_cast<Compute>(factor);
  for (std::size_t at = 0; at < count; at += tile) {
    prefetch<false>(from + at, tile);
    const std::size_t stop = count - at < tile ? count : at + tile;
    for (std::size_t i = at; i < stop; ++i) to[i] = narrow<Element>(static_cast<Compute>(widen(from[i])) * share);
  }
}

template <class Element>
inline double square(Element element) {
  const double x = static_cast<double>(widen(element));
  return x * x;
}

// Sixteen sums side by side, added up at the end in a fixed order, so that the width of vectors makes no difference.
template <class Element>
BlockSum sum_of_squares(const void* values, std::size_t count) {
  constexpr std::size_t lanes = 16;
  const Element* __restrict__ elements = static_cast<const Element*>(values);
  double sums[lanes] = {};
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    prefetch<false>(elements + i, lanes);
    for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += square(elements[i + lane]);
  }
  for (std::size_t lane = 0; i + lane < count; ++lane) sums[lane] += square(elements[i + lane]);
  double sum = 0;
  for (double part : sums) sum += part;
  // Inf and NaN make the sum inf or NaN. Finite elements do so only where their squares overflow: of doubles alone.
  bool finite = sum - sum == 0;
  if constexpr (std::is_same_v<Element, double>) {
    if (!finite) {
      double difference = 0;  // x - x is 0 for every finite x and NaN for the others
      for (std::size_t k = 0; k < count; ++k) difference += elements[k] - elements[k];
      finite = difference == 0;
    }
  }
  return {sum, finite};
}

}  // namespace

#define NEAREST(P, V) {step<P, V, Rounding::nearest>, nullptr, nullptr}
#define EVERY(V)                                                               \
  {                                                                            \
    step<bfloat16, V, Rounding::nearest>, step<bfloat16, V, Rounding::stochastic>, \
        step<bfloat16, V, Rounding::compensated>                               \
  }

#define NEAREST_CODED(P) {step_coded<P, Rounding::nearest>, nullptr, nullptr}
#define EVERY_CODED                                                                     \
  {                                                                                     \
    step_coded<bfloat16, Rounding::nearest>, step_coded<bfloat16, Rounding::stochastic>, \
        step_coded<bfloat16, Rounding::compensated>                                     \
  }

extern const KernelTable table;
const KernelTable table = {
    DOWNSLOPE_ISA_NAME,
    {
        // velocity: float32, bfloat16, float16, float64, absent, coded
        {NEAREST(float, float), NEAREST(float, bfloat16), NEAREST(float, float16), NEAREST(float, double),
         NEAREST(float, absent), NEAREST_CODED(float)},
        {EVERY(float), EVERY(bfloat16), EVERY(float16), EVERY(double), EVERY(absent), EVERY_CODED},
        {NEAREST(float16, float), NEAREST(float16, bfloat16), NEAREST(float16, float16), NEAREST(float16, double),
         NEAREST(float16, absent), NEAREST_CODED(float16)},
        {NEAREST(double, float), NEAREST(double, bfloat16), NEAREST(double, float16), NEAREST(double, double),
         NEAREST(double, absent), {nullptr, nullptr, nullptr}},  // computed in float64, which codes would not repay
    },
    {sum_of_squares<float>, sum_of_squares<bfloat16>, sum_of_squares<float16>, sum_of_squares<double>},
    {average_in<float>, average_in<bfloat16>, average_in<float16>, average_in<double>},
    {scale<float>, scale<bfloat16>, scale<float16>, scale<double>},
};

}  // namespace downslope::DOWNSLOPE_ISA
