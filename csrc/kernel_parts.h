// What the kernels of one instruction set share: the coefficients in the format of computation, and prefetching.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "affine.h"

namespace downslope::DOWNSLOPE_ISA {
namespace {

template <class Format>
using ComputeOf = std::conditional_t<std::is_same_v<Format, double>, double, float>;

// The coefficients in the format of computation.
template <class Compute>
struct Weights {
  explicit Weights(const Coefficients& c)
      : delta_param(static_cast<Compute>(c.delta_param)),
        delta_grad(static_cast<Compute>(c.delta_grad)),
        delta_velocity(static_cast<Compute>(c.delta_velocity)),
        velocity_param(static_cast<Compute>(c.velocity_param)),
        velocity_grad(static_cast<Compute>(c.velocity_grad)),
        velocity_velocity(static_cast<Compute>(c.velocity_velocity)) {}
  Compute delta_param, delta_grad, delta_velocity, velocity_param, velocity_grad, velocity_velocity;
};

// Memory is asked for this many bytes ahead of its use. The processor's own prefetching begins anew with every page and
// every tensor, and so leaves a part of the bandwidth unused. Parameters and velocities, which will be written, are asked
// for as this processor's own (where it has an instruction for that): after a backward pass on several threads another
// processor has read the parameters, and a write that has to take each line from it first would wait four times as long
// as the whole step.
constexpr std::size_t bytes_ahead = 2048;
constexpr std::size_t cache_line = 64;
// Elements between two such requests.
constexpr std::size_t tile = 64;
// One line of each page is asked for this much earlier. Where the page lies is then known when the other lines are needed;
// to find it takes as long as a line does, and under a virtual machine, which has tables of its own, several times as long.
constexpr std::size_t bytes_ahead_of_page = 65536;
constexpr std::size_t page = 4096;

template <bool for_writing, class Element>
inline void ask_for(const Element* elements, std::size_t ahead) {
#if defined(__GNUC__) || defined(__clang__)
  // an address past the end is never read from, only asked for; computed as an integer, since it is no pointer then
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(elements) + ahead), for_writing);
#endif
}

template <bool for_writing, class Element>
inline void prefetch(const Element* elements, std::size_t count) {
  for (std::size_t byte = 0; byte < count * sizeof(Element); byte += cache_line)
    ask_for<for_writing>(elements, bytes_ahead + byte);
}

// Asks for a page if one begins among these elements.
template <bool for_writing, class Element>
inline void prefetch_page(const Element* elements, std::size_t count) {
  if (reinterpret_cast<std::uintptr_t>(elements) % page < count * sizeof(Element))
    ask_for<for_writing>(elements, bytes_ahead_of_page);
}

}  // namespace
}  // namespace downslope::DOWNSLOPE_ISA
