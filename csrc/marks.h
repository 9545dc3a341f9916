// Tensors that are not what lies in their memory: torch marks some to be read negated, conjugated or as zeros.
//
// DLPack has no word for it, and torch's table of C functions hands such a tensor out like any other. Its own method
// `is_neg` tells, but gives up the interpreter's lock on the way, which a step cannot afford a thousand times. The marks
// are bits of one word of a tensor. Where that word lies, and which bits they are, is learned from examples, without a
// header of torch; until then, and where the examples do not show it, tensors are asked by the method.
#pragma once

#include <nanobind/nanobind.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace nb = nanobind;

namespace downslope {

class Marks {
 public:
  // A tensor, and where its C++ object lies.
  struct Example {
    const void* object;
    const void* tensor;
  };
  // Two tensors that differ in their content and in one mark, which the second has.
  struct Pair {
    Example plain, marked;
  };

  // Learns from examples of each mark, at least two of each; returns whether they show one word and one bit for each.
  // `object_size`: the bytes of a Python object that is a tensor.
  bool learn(const std::vector<std::vector<Pair>>& kinds, std::size_t object_size) {
    is_known_ = false;
    if (kinds.empty()) return false;
    for (std::size_t place = sizeof(PyObject); place + sizeof(void*) <= object_size; place += sizeof(void*)) {
      if (!all_lie_at(kinds, place)) continue;
      for (std::size_t word = 0; word < bytes_searched; word += sizeof(std::uint64_t)) {
        const std::uint64_t bits = bits_at(kinds, word);
        if (bits == 0) continue;
        place_ = place, word_ = word, bits_ = bits;
        return is_known_ = true;
      }
      return false;
    }
    return false;
  }

  // Whether a tensor has a mark. Of a known place it must be a tensor; elsewhere anything that may have the method.
  bool is_marked(nb::handle tensor) const {
    if (is_known_) return (word_at(pointer_at(tensor.ptr(), place_), word_) & bits_) != 0;
    if (!nb::hasattr(tensor, "is_neg")) return false;
    return nb::cast<bool>(tensor.attr("is_neg")());
  }

 private:
  // What is looked through of a tensor's C++ object: less than its size in every torch there is.
  static constexpr std::size_t bytes_searched = 192;

  static const void* pointer_at(const void* object, std::size_t place) {
    const void* found;
    std::memcpy(&found, static_cast<const char*>(object) + place, sizeof(found));
    return found;
  }
  static std::uint64_t word_at(const void* tensor, std::size_t place) {
    std::uint64_t found;
    std::memcpy(&found, static_cast<const char*>(tensor) + place, sizeof(found));
    return found;
  }

  static bool all_lie_at(const std::vector<std::vector<Pair>>& kinds, std::size_t place) {
    for (const auto& pairs : kinds)
      for (const Pair& pair : pairs)
        for (const Example& example : {pair.plain, pair.marked})
          if (pointer_at(example.object, place) != example.tensor) return false;
    return true;
  }

  // The marks in a word, each of them one bit that all its pairs differ in and in nothing else, all of them different; 0
  // if the word does not hold them.
  static std::uint64_t bits_at(const std::vector<std::vector<Pair>>& kinds, std::size_t word) {
    std::uint64_t all = 0;
    for (const auto& pairs : kinds) {
      if (pairs.size() < 2) return 0;
      std::uint64_t bit = 0;
      for (const Pair& pair : pairs) {
        const std::uint64_t plain = word_at(pair.plain.tensor, word), marked = word_at(pair.marked.tensor, word);
        const std::uint64_t difference = plain ^ marked;
        if (std::popcount(difference) != 1 || (marked & difference) == 0 || (bit != 0 && difference != bit)) return 0;
        bit = difference;
      }
      if ((all & bit) != 0) return 0;
      all |= bit;
    }
    for (const auto& pairs : kinds)  // and no plain tensor has another kind's
      for (const Pair& pair : pairs)
        if ((word_at(pair.plain.tensor, word) & all) != 0) return 0;
    return all;
  }

  bool is_known_ = false;
  std::size_t place_ = 0, word_ = 0;
  std::uint64_t bits_ = 0;
};

// Those of the framework whose tensors this module meets.
inline Marks& marks() {
  static Marks all;
  return all;
}

}  // namespace downslope
