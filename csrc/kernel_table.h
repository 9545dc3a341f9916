// The table of kernels that every instruction set fills: one entry for each combination of formats that exists.
#pragma once

#include "affine.h"

namespace downslope {

enum class Format : std::uint8_t { float32, bfloat16, float16, float64, count };
// The velocity's format; absent where there is no momentum, coded where it is bytes beside scales (blocks.h).
enum class VelocityFormat : std::uint8_t { float32, bfloat16, float16, float64, absent, coded, count };
enum class Rounding : std::uint8_t { nearest, stochastic, compensated, count };

// Sum of squares and whether an element is not finite, of `count` elements of one format.
struct BlockSum {
  double squares;
  bool finite;
};
using Reduction = BlockSum (*)(const void* values, std::size_t count);

// Takes new parameters into their average, which is float32, of float64 in float64: it goes `weight` of the way to them.
using Averaging = void (*)(const void* params, void* averages, std::size_t count, double weight, bool asks_for_lines);

// Writes elements of one format times a factor, each rounded to that format.
using Scaling = void (*)(const void* values, void* scaled, std::size_t count, double factor);

struct KernelTable {
  const char* name;
  // null where a combination does not exist
  Kernel step[static_cast<int>(Format::count)][static_cast<int>(VelocityFormat::count)]
             [static_cast<int>(Rounding::count)];
  Reduction sum_of_squares[static_cast<int>(Format::count)];
  Averaging average[static_cast<int>(Format::count)];
  Scaling scale[static_cast<int>(Format::count)];
};

namespace baseline {
extern const KernelTable table;
}
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}

}  // namespace downslope
