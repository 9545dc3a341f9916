// Arrays as their owner describes them: whether the kernel can run over one from end to end, and who overlaps whom.
#pragma once

#include <cstddef>
#include <vector>

namespace downslope {

// Where an array's elements lie. Nothing is owned.
struct Layout {
  const char* address;  // of the element with all indices 0
  std::size_t item_size;
  int axes;
  const std::ptrdiff_t* shape;    // `axes` extents
  const std::ptrdiff_t* strides;  // `axes` distances, in bytes

  std::size_t count() const;  // elements
};

// Whether the elements fill one block that begins at the address, each place once, whatever the order of the axes; and
// whether each lies where its format wants it.
bool is_dense(const Layout& layout);

// Whether two arrays have the same shape and, in a dense block, the same order of elements, of whatever size these are.
bool is_alike(const Layout& a, const Layout& b);

// A block of memory that a step reads, or reads and writes.
struct MemoryBlock {
  const char* begin;
  const char* end;
  bool is_written;
};

struct Overlaps {
  bool read;     // a block that is only read shares memory with one that is written
  bool written;  // two that are written do
};

// Empty blocks overlap nothing. Sorts the blocks.
Overlaps find_overlaps(std::vector<MemoryBlock>& blocks);

}  // namespace downslope
