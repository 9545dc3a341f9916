// A velocity of 8 bits: a code of one byte for each element, and for each block of elements one float32, its scale.
//
// The scale is the largest magnitude of the block. A code c between -127 and 127 stands for sign(c) (c / 127)^2 of it: of
// values a hundredth as large as the largest a linear code would tell one from none, this one tells thirteen. The price
// is a square root, which every processor rounds correctly. Where an element is not finite, its code is -128, and the
// sign of the scale is set to say that there is one.
// Block-wise: Dettmers, Lewis, Shleifer & Zettlemoyer, "8-bit optimizers via block-wise quantization" (2022).
#pragma once

#include <cmath>
#include <cstddef>

#include "formats.h"

namespace downslope {

// Elements of a block, in row-major order from a tensor's first; the last block of a tensor may have fewer.
constexpr std::size_t block_length = 256;
constexpr std::size_t blocks_of(std::size_t count) { return (count + block_length - 1) / block_length; }

constexpr float largest_code = 127;
constexpr float code_unit = 1.0f / (largest_code * largest_code);
static_assert(largest_code * largest_code * code_unit == 1.0f);  // so that the largest comes back as it was
constexpr std::int8_t not_finite = -128;
constexpr std::uint32_t sign_bit = 0x80000000u, infinity_bits = 0x7f800000u, nan_bits = 0x7fc00000u;

static inline std::uint32_t magnitude_of(float value) { return std::bit_cast<std::uint32_t>(value) & ~sign_bit; }

// Whether no code of a block with this scale stands for what is not finite.
static inline bool is_plain(float scale) { return (std::bit_cast<std::uint32_t>(scale) & sign_bit) == 0; }

static inline float decode(std::int8_t code, float scale) {
  const float root = static_cast<float>(code);
  return root * std::bit_cast<float>(magnitude_of(root)) * code_unit * scale;
}

static inline void decode(const std::int8_t* __restrict__ codes, float scale, float* __restrict__ values,
                          std::size_t count) {
  if (is_plain(scale)) {
    for (std::size_t i = 0; i < count; ++i) values[i] = decode(codes[i], scale);
  } else {
    for (std::size_t i = 0; i < count; ++i)
      values[i] = codes[i] == not_finite ? std::bit_cast<float>(nan_bits) : decode(codes[i], -scale);
  }
}

// What roots are multiplied by so that the largest becomes the largest code.
static inline float factor_of(float scale) {
  const float root = std::sqrt(scale);
  return root > 0 ? largest_code / root : 0;
}

static inline std::int8_t encode(float value, float factor) {
  const float root = std::sqrt(std::bit_cast<float>(magnitude_of(value))) * factor;
  const std::uint32_t sign = std::bit_cast<std::uint32_t>(value) & sign_bit;
  const float number = std::bit_cast<float>(std::bit_cast<std::uint32_t>(root) | sign);
  // beside 1.5 * 2^23 the last place is 1: the adder rounds to an integer, ties to even, and the low bits are its own
  return static_cast<std::int8_t>(std::bit_cast<std::uint32_t>(number + 0x1.8p23f));
}

static inline void encode(const float* __restrict__ values, float factor, std::int8_t* __restrict__ codes,
                          std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) codes[i] = encode(values[i], factor);
}

// Returns the bits of the largest magnitude, in whatever order they are compared: as integers magnitudes compare as the
// numbers that they are, infinity and NaN above all.
static inline std::uint32_t largest_of(const float* values, std::size_t count) {
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto magnitude = static_cast<std::int32_t>(magnitude_of(values[i]));
    largest = magnitude > largest ? magnitude : largest;
  }
  return static_cast<std::uint32_t>(largest);
}

// Writes the codes of a block of which not all is finite, and returns its scale.
static inline float encode_specials(const float* values, std::int8_t* codes, std::size_t count) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i)
    if (const std::uint32_t magnitude = magnitude_of(values[i]); magnitude < infinity_bits && magnitude > largest)
      largest = magnitude;
  const float scale = std::bit_cast<float>(largest), factor = factor_of(scale);
  for (std::size_t i = 0; i < count; ++i)
    codes[i] = magnitude_of(values[i]) < infinity_bits ? encode(values[i], factor) : not_finite;
  return -scale;
}

}  // namespace downslope
