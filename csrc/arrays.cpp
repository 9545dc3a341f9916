#include "arrays.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace downslope {

std::size_t Layout::count() const {
  std::size_t product = 1;
  for (int axis = 0; axis < axes; ++axis) product *= static_cast<std::size_t>(shape[axis]);
  return product;
}

bool is_dense(const Layout& layout) {
  constexpr int most_axes = 64;  // of NumPy
  if (layout.axes > most_axes) return false;
  if (reinterpret_cast<std::uintptr_t>(layout.address) % layout.item_size != 0) return false;
  std::pair<std::ptrdiff_t, std::ptrdiff_t> axes[most_axes];  // (stride, extent), of those along which one can move
  int count = 0;
  auto size = static_cast<std::ptrdiff_t>(layout.item_size);
  bool is_contiguous = true;
  for (int axis = layout.axes - 1; axis >= 0; --axis) {
    const std::ptrdiff_t extent = layout.shape[axis], stride = layout.strides[axis];
    if (extent == 0) return true;
    if (extent == 1) continue;
    is_contiguous = is_contiguous && stride == size;
    size *= extent;
    axes[count++] = {stride, extent};
  }
  if (is_contiguous) return true;
  std::sort(axes, axes + count);
  size = static_cast<std::ptrdiff_t>(layout.item_size);
  for (int axis = 0; axis < count; ++axis) {
    if (axes[axis].first != size) return false;
    size *= axes[axis].second;
  }
  return true;
}

bool is_alike(const Layout& a, const Layout& b) {
  if (a.axes != b.axes || !std::equal(a.shape, a.shape + a.axes, b.shape)) return false;
  if (a.count() == 0) return true;
  const auto of_a = static_cast<std::ptrdiff_t>(a.item_size), of_b = static_cast<std::ptrdiff_t>(b.item_size);
  for (int axis = 0; axis < a.axes; ++axis)
    if (a.shape[axis] != 1 && a.strides[axis] * of_b != b.strides[axis] * of_a) return false;
  return true;
}

Overlaps find_overlaps(std::vector<MemoryBlock>& blocks) {
  const auto precedes = [](const MemoryBlock& a, const MemoryBlock& b) { return a.begin < b.begin; };
  if (!std::is_sorted(blocks.begin(), blocks.end(), precedes)) std::sort(blocks.begin(), blocks.end(), precedes);
  Overlaps found{false, false};
  const char *read_until = nullptr, *written_until = nullptr;
  for (const MemoryBlock& block : blocks) {
    if (block.begin == block.end) continue;
    if (block.is_written) {
      found.read = found.read || block.begin < read_until;
      found.written = found.written || block.begin < written_until;
      written_until = std::max(written_until, block.end);
    } else {
      found.read = found.read || block.begin < written_until;
      read_until = std::max(read_until, block.end);
    }
  }
  return found;
}

}  // namespace downslope
