// The test of arrays.cpp, without Python, to be built with sanitizers (run_sanitized.sh): dense or not, alike or not,
// and overlaps against every pair looked at one by one.

#include "arrays.h"

#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace downslope;

int failures = 0;

void expect(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what.c_str());
  ++failures;
}

alignas(64) char memory[1 << 12];

struct Sample {
  std::vector<std::ptrdiff_t> shape, strides;
  std::size_t item_size = 4, offset = 0;
  Layout layout() const {
    return {memory + offset, item_size, static_cast<int>(shape.size()), shape.data(), strides.data()};
  }
};

void test_dense() {
  const std::vector<std::ptrdiff_t> many(64, 1), too_many(65, 1);
  expect(is_dense(Sample{{}, {}}.layout()), "no axes");
  expect(is_dense(Sample{{2, 3}, {12, 4}}.layout()), "rows");
  expect(is_dense(Sample{{2, 3}, {4, 8}}.layout()), "columns");
  expect(is_dense(Sample{{2, 3, 4}, {4, 32, 8}}.layout()), "another order");
  expect(is_dense(Sample{{1, 5, 1}, {999, 4, -7}}.layout()), "axes of one element");
  expect(is_dense(Sample{{3, 0, 2}, {1, 1, 1}}.layout()), "no elements");
  expect(is_dense(Sample{many, many}.layout()), "64 axes");
  expect(!is_dense(Sample{too_many, too_many}.layout()), "65 axes");
  expect(!is_dense(Sample{{2, 3}, {16, 4}}.layout()), "gaps between rows");
  expect(!is_dense(Sample{{4}, {8}}.layout()), "gaps");
  expect(!is_dense(Sample{{4}, {-4}}.layout()), "backwards");
  expect(!is_dense(Sample{{4}, {0}}.layout()), "one element many times");
  expect(!is_dense(Sample{{2, 2}, {4, 4}}.layout()), "elements twice");
  expect(!is_dense(Sample{{4}, {4}, 4, 2}.layout()), "not aligned");
  expect(is_dense(Sample{{4}, {2}, 2, 2}.layout()), "aligned to its own size");
}

void test_alike() {
  const Sample rows{{2, 3}, {12, 4}}, columns{{2, 3}, {4, 8}}, other{{3, 2}, {8, 4}}, flat{{6}, {4}};
  expect(is_alike(rows.layout(), rows.layout()), "itself");
  expect(!is_alike(rows.layout(), columns.layout()), "another order");
  expect(!is_alike(rows.layout(), other.layout()), "another shape");
  expect(!is_alike(rows.layout(), flat.layout()), "other axes");
  expect(is_alike(Sample{{1, 3}, {4, 4}}.layout(), Sample{{1, 3}, {99, 4}}.layout()), "an axis of one element");
  expect(is_alike(Sample{{0, 3}, {4, 4}}.layout(), Sample{{0, 3}, {99, 1}}.layout()), "no elements");
  expect(is_alike(rows.layout(), Sample{{2, 3}, {24, 8}, 8}.layout()), "elements of another size in the same order");
  expect(!is_alike(rows.layout(), Sample{{2, 3}, {8, 16}, 8}.layout()), "of another size in another order");
  expect(rows.layout().count() == 6 && Sample{{}, {}}.layout().count() == 1, "counts");
}

void test_overlaps() {
  std::mt19937 random(1);
  int seen[2][2] = {};
  for (int round = 0; round < 20000; ++round) {
    std::vector<MemoryBlock> blocks(random() % 7);
    for (MemoryBlock& block : blocks) {
      block.begin = memory + random() % 60;
      block.end = block.begin + random() % 12;
      block.is_written = random() % 2 == 0;
    }
    Overlaps wanted{false, false};
    for (std::size_t i = 0; i < blocks.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const MemoryBlock &a = blocks[i], &b = blocks[j];
        if (a.begin == a.end || b.begin == b.end || a.begin >= b.end || b.begin >= a.end) continue;
        wanted.written = wanted.written || (a.is_written && b.is_written);
        wanted.read = wanted.read || a.is_written != b.is_written;
      }
    const Overlaps found = find_overlaps(blocks);
    expect(found.read == wanted.read && found.written == wanted.written, "overlaps, round " + std::to_string(round));
    ++seen[found.read][found.written];
  }
  expect(seen[0][0] && seen[0][1] && seen[1][0] && seen[1][1], "every answer was met");
}

}  // namespace

int main() {
  test_dense();
  test_alike();
  test_overlaps();
  if (failures == 0) std::puts("arrays: passed");
  return failures != 0;
}
