// As many float32 side by side as a register of this instruction set holds, for loops that compilers do not vectorise as
// well as by hand: those between bytes and float32. Nothing where there is neither AVX2 nor AVX-512; for AArch64, GCC 12
// vectorises the plain loops in the place of these, every one.
#pragma once

#if defined(__AVX2__) && (defined(__GNUC__) || defined(__clang__))
#define DOWNSLOPE_LANES

#if !defined(__clang__)  // GCC 12 warns of the values that its own functions leave undefined
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <cstddef>
#include <cstdint>

namespace downslope::DOWNSLOPE_ISA {
namespace {

inline std::uint32_t largest_of_8(__m256i bits) {
  __m128i largest = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  largest = _mm_max_epi32(largest, _mm_shuffle_epi32(largest, 0x4e));
  largest = _mm_max_epi32(largest, _mm_shuffle_epi32(largest, 0xb1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(largest));
}

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)

constexpr std::size_t lanes = 16;
using Floats = __m512;  // of which compilers know + and *
using Bits = __m512i;

inline Floats all(float value) { return _mm512_set1_ps(value); }
inline Floats load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Floats values) { _mm512_storeu_ps(to, values); }
inline Floats load_codes(const std::int8_t* from) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes));
}
inline Floats magnitudes(Floats values) { return _mm512_andnot_ps(all(-0.0f), values); }
inline Floats with_signs(Floats magnitudes, Floats values) {
  return _mm512_or_ps(magnitudes, _mm512_and_ps(all(-0.0f), values));
}
inline Floats square_roots(Floats values) { return _mm512_sqrt_ps(values); }
inline Bits no_bits() { return _mm512_setzero_si512(); }
inline Bits larger(Bits a, Floats b) { return _mm512_max_epi32(a, _mm512_castps_si512(b)); }
inline std::uint32_t largest_lane(Bits bits) {
  return largest_of_8(_mm256_max_epi32(_mm512_castsi512_si256(bits), _mm512_extracti64x4_epi64(bits, 1)));
}

inline Bits rounded(const float* from, Floats factor) {
  return _mm512_cvtps_epi32(_mm512_loadu_ps(from) * factor);
}
// Rounds 64 numbers times a factor to bytes, which they must fit.
inline void store_rounded(std::int8_t* to, const float* from, Floats factor) {
  const Bits a = _mm512_packs_epi32(rounded(from, factor), rounded(from + 16, factor));
  const Bits b = _mm512_packs_epi32(rounded(from + 32, factor), rounded(from + 48, factor));
  // packing goes by quarters of a register, so that every fourth of these is the next
  const Bits order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(a, b)));
}

#else

constexpr std::size_t lanes = 8;
using Floats = __m256;
using Bits = __m256i;

inline Floats all(float value) { return _mm256_set1_ps(value); }
inline Floats load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Floats values) { _mm256_storeu_ps(to, values); }
inline Floats load_codes(const std::int8_t* from) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}
inline Floats magnitudes(Floats values) { return _mm256_andnot_ps(all(-0.0f), values); }
inline Floats with_signs(Floats magnitudes, Floats values) {
  return _mm256_or_ps(magnitudes, _mm256_and_ps(all(-0.0f), values));
}
inline Floats square_roots(Floats values) { return _mm256_sqrt_ps(values); }
inline Bits no_bits() { return _mm256_setzero_si256(); }
inline Bits larger(Bits a, Floats b) { return _mm256_max_epi32(a, _mm256_castps_si256(b)); }
inline std::uint32_t largest_lane(Bits bits) { return largest_of_8(bits); }

inline Bits rounded(const float* from, Floats factor) { return _mm256_cvtps_epi32(_mm256_loadu_ps(from) * factor); }
// Rounds 64 numbers times a factor to bytes, which they must fit.
inline void store_rounded(std::int8_t* to, const float* from, Floats factor) {
  // packing goes by halves of a register, so that every fourth of these is the next
  const Bits order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (std::size_t i = 0; i < 64; i += 32) {
    const Bits a = _mm256_packs_epi32(rounded(from + i, factor), rounded(from + i + 8, factor));
    const Bits b = _mm256_packs_epi32(rounded(from + i + 16, factor), rounded(from + i + 24, factor));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order));
  }
}

#endif

}  // namespace
}  // namespace downslope::DOWNSLOPE_ISA

#endif
