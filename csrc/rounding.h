// Rounding a bfloat16 parameter so that small updates are not lost: stochastically, or with a compensation.
//
// A bfloat16 has 8 significant bits: 1 - 0.001 rounds back to 1, so plain rounding never moves such a parameter.
#pragma once

#include "formats.h"

namespace downslope {

// A counter-based random number: a function of key and element alone, so that it does not depend on threads, on the
// order of work or on anything kept between steps. The mixer is the finaliser of MurmurHash3 (Appleby), twice.
static inline std::uint32_t random_bits(std::uint32_t key, std::uint32_t element) {
  std::uint32_t x = element * 0x9e3779b9u + key;
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  x = (x ^ (x >> 16)) + key;
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

// Rounds up or down with the probability that makes the expected value exact; values that fit, inf and NaN stay.
static inline bfloat16 narrow_stochastically(float x, std::uint32_t random) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const bool is_finite = (bits & 0x7f800000u) != 0x7f800000u;
  const std::uint32_t rounded = (bits + (random & 0xffffu)) >> 16;
  return {static_cast<std::uint16_t>(select(is_finite, rounded, narrow<bfloat16>(x).bits))};
}

}  // namespace downslope
