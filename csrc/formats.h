// Number formats: how an element is read into the format of computation and written back.
//
// Everything here is plain integer and IEEE arithmetic without branches, so that compilers vectorise it and every
// processor gives the same bits. Functions that the kernels run are static: they are compiled once per instruction set,
// and of an inline one that was not expanded the linker would keep one copy for all, which some processors cannot run.
#pragma once

#include <bit>
#include <cstdint>

namespace downslope {

// Returns a where the condition holds, else b, by masks: compilers keep loops with it free of branches.
static inline std::uint32_t select(bool condition, std::uint32_t a, std::uint32_t b) {
  const std::uint32_t mask = 0u - static_cast<std::uint32_t>(condition);
  return (a & mask) | (b & ~mask);
}

struct bfloat16 {
  std::uint16_t bits;
};
struct float16 {
  std::uint16_t bits;
};

static inline float widen(float x) { return x; }
static inline double widen(double x) { return x; }
static inline float widen(bfloat16 x) { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }

// The exponent is shifted into place and its bias raised by 112. A subnormal is its fraction times 2^-24: an integer
// that is converted and scaled, both exactly, without ever being a subnormal float, which some processes take for zero.
static inline float widen(float16 x) {
  const std::uint32_t magnitude = std::uint32_t{x.bits} & 0x7fffu;
  const std::uint32_t sign = (std::uint32_t{x.bits} & 0x8000u) << 16;
  const float subnormal = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f;
  const std::uint32_t normal = (magnitude << 13) + (112u << 23);
  const std::uint32_t special = (magnitude << 13) | 0x7f800000u;  // inf and NaN keep their fraction
  const std::uint32_t large = select(magnitude >= 0x7c00u, special, normal);
  return std::bit_cast<float>(select(magnitude < 0x400u, std::bit_cast<std::uint32_t>(subnormal), large) | sign);
}

template <class Format>
static Format narrow(float x);  // rounds to nearest, ties to even

template <>
inline float narrow<float>(float x) {
  return x;
}
template <>
inline double narrow<double>(float x) {
  return x;
}

template <>
inline bfloat16 narrow<bfloat16>(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40u;
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return {static_cast<std::uint16_t>(select(is_nan, quiet, rounded))};
}

// Adding a power of two 2^13 times larger than the last place to keep lets the adder round; below the smallest normal
// float16 the power is fixed, which rounds subnormals in the same way.
template <>
inline float16 narrow<float16>(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t exponent = magnitude & 0x7f800000u;
  const std::uint32_t floor = 0x38800000u;  // 2^-14
  const std::uint32_t base = select(exponent < floor, floor, exponent) + (13u << 23);
  const bool overflows = magnitude >= 0x477ff000u;  // 65520, the first that rounds to infinity
  // the power of two is clamped so that it never overflows itself; such values are replaced below
  const float power = std::bit_cast<float>(select(overflows, floor, base));
  const float summed = std::bit_cast<float>(select(overflows, 0u, magnitude)) + power;
  const std::uint32_t fraction = std::bit_cast<std::uint32_t>(summed) - std::bit_cast<std::uint32_t>(power);
  const std::uint32_t biased = select(exponent < floor, 0u, (exponent - floor) >> 13);
  const std::uint32_t finite = biased + fraction;
  const std::uint32_t special = select(magnitude > 0x7f800000u, 0x7e00u, 0x7c00u);
  return {static_cast<std::uint16_t>(select(overflows, special, finite) | sign)};
}

template <class Format>
static Format narrow(double x);

template <>
inline double narrow<double>(double x) {
  return x;
}
template <>
inline float narrow<float>(double x) {
  return static_cast<float>(x);
}

// Rounds to float so that rounding once more, to 16 bits, gives what rounding at once would: where the float is not
// exact, the neighbour whose last bit is odd is taken (Boldo & Melquiond 2008), and no tie arises that was none.
static inline float to_odd(double x) {
  const float nearest = static_cast<float>(x);
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(nearest);
  const double back = nearest;
  const double magnitude = x < 0 ? -x : x, back_magnitude = back < 0 ? -back : back;
  const std::uint32_t odd = magnitude > back_magnitude ? bits + 1 : bits - 1;
  return std::bit_cast<float>(select(magnitude != back_magnitude && (bits & 1u) == 0, odd, bits));
}
template <>
inline bfloat16 narrow<bfloat16>(double x) {
  return narrow<bfloat16>(to_odd(x));
}
template <>
inline float16 narrow<float16>(double x) {
  return narrow<float16>(to_odd(x));
}

}  // namespace downslope
