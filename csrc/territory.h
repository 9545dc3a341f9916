// The memory that a step writes, and whether what it reads besides lies apart from it.
//
// Parameters and velocities stay where they are from step to step and gradients come and go. So what is written is
// sorted once, and of a gradient it is remembered between which two written blocks it lay: most come back there.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace downslope {

struct Span {
  std::uintptr_t begin, end;  // addresses; empty where both are one
};
inline bool operator==(const Span& a, const Span& b) { return a.begin == b.begin && a.end == b.end; }

class Territory {
 public:
  // Takes up the blocks that are written; false if two of them share memory.
  bool take(std::vector<Span> written) {
    written_ = std::move(written);
    written_.erase(std::remove_if(written_.begin(), written_.end(), [](const Span& s) { return s.begin == s.end; }),
                   written_.end());
    std::sort(written_.begin(), written_.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < written_.size(); ++i)
      if (written_[i].begin < written_[i - 1].end) return false;
    return true;
  }

  // Whether a block that is read shares no byte with any that is written. `gap`: an empty span at first; then the
  // memory between two written blocks in which the last one lay.
  bool is_apart(const Span& read, Span& gap) const {
    if (gap.begin <= read.begin && read.end <= gap.end) return true;
    if (read.begin == read.end) return true;
    const auto next = std::upper_bound(written_.begin(), written_.end(), read.begin,
                                       [](std::uintptr_t begin, const Span& block) { return begin < block.end; });
    if (next != written_.end() && next->begin < read.end) return false;
    gap.begin = next == written_.begin() ? 0 : (next - 1)->end;
    gap.end = next == written_.end() ? UINTPTR_MAX : next->begin;
    return true;
  }

 private:
  std::vector<Span> written_;  // disjoint, in order
};

}  // namespace downslope
