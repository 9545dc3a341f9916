// A number that stands for every bit that the kernels write: of all formats, roundings, instruction sets and numbers of
// threads, on numbers from a generator that every C++ library has. It must be the one below on every processor, with
// every compiler and whatever flags were asked for; run_sanitized.sh and the target `aarch64` of the Makefile run it.
//
// NaN is left out: which of its payloads an operation of two NaN keeps is the processor's own choice.

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <random>
#include <vector>

#include "blocks.h"
#include "plan.h"
#include "thread_pool.h"

namespace {

using namespace downslope;

constexpr std::uint64_t expected_hash = 0xe56d9bad74540af5;
constexpr std::uint64_t expected_hash_of_averages = 0x1c30c191342ae189;
constexpr std::uint64_t expected_hash_of_units = 0x94e211ab5f3b0f5d;

// FNV-1a, of bytes that are read eight at a time: sanitizers look at every read.
std::uint64_t hash_of(const std::vector<char>& bytes, std::uint64_t hash) {
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, bytes.data() + at, 8);
    for (int i = 0; i < 8; ++i) hash = (hash ^ (eight >> 8 * i & 0xff)) * 1099511628211ull;
  }
  for (; at < bytes.size(); ++at) hash = (hash ^ static_cast<unsigned char>(bytes[at])) * 1099511628211ull;
  return hash;
}

// Random signs and fractions, exponents about 1 or, for every ninth, any that is finite: subnormal numbers too.
void fill(std::vector<char>& bytes, Format format, std::mt19937& random) {
  const std::size_t size = element_size(format);
  for (std::size_t i = 0; i < bytes.size() / size; ++i) {
    std::uint64_t bits = (std::uint64_t{random()} << 32) | random();
    const std::uint64_t drawn = bits >> 40;
    const bool is_any = i % 9 == 4;
    const auto place = [&](int exponent_bits, int fraction_bits, int middle) {
      const std::uint64_t largest = (std::uint64_t{1} << exponent_bits) - 2;
      const std::uint64_t exponent = is_any ? drawn % (largest / 2) : middle + drawn % 10;
      const std::uint64_t rest = (std::uint64_t{1} << (exponent_bits + fraction_bits)) |
                                 ((std::uint64_t{1} << fraction_bits) - 1);
      bits = (bits & rest) | (exponent << fraction_bits);
    };
    switch (format) {
      case Format::float32: place(8, 23, 120); break;
      case Format::bfloat16: place(8, 7, 120); break;
      case Format::float16: place(5, 10, 8); break;
      default: place(11, 52, 1016); break;
    }
    std::memcpy(bytes.data() + i * size, &bits, size);  // the low bytes: the processors meant here are little-endian
  }
}

// Codes from -127 to 127; scales as numbers of float32, some of them subnormal or 0. (-128 is NaN, which is left out.)
void fill_codes(std::vector<char>& codes, std::vector<char>& scales, std::mt19937& random) {
  fill(scales, Format::float32, random);
  for (std::size_t b = 0; b < scales.size() / sizeof(float); ++b) {
    float scale;
    std::memcpy(&scale, scales.data() + b * sizeof(float), sizeof(float));
    scale = std::abs(scale);
    if (b % 7 == 3) scale = 0;
    std::memcpy(scales.data() + b * sizeof(float), &scale, sizeof(float));
  }
  for (char& code : codes) code = static_cast<char>(static_cast<int>(random() % 255) - 127);
}

// The tensors of a step. Drawing takes longer than stepping: they are drawn once, and put back before each step.
struct Step {
  Step(Format format, VelocityFormat velocity_format, Rounding rounding, std::uint32_t seed) {
    std::mt19937 random(seed), random_of_averages(seed);
    constexpr std::size_t lengths[] = {1, 3, 15, 16, 17, 63, 64, 65, 127, 1001, 280007};
    const bool has_velocity = velocity_format != VelocityFormat::absent;
    const bool is_coded = velocity_format == VelocityFormat::coded;
    const Format velocity = has_velocity && !is_coded ? static_cast<Format>(velocity_format) : Format::float32;
    for (const std::size_t count : lengths) {
      if (count > 100000 && seed % 5 != 0) continue;  // one of five has a tensor that is worth several threads
      params.emplace_back(count * element_size(format));
      grads.emplace_back(count * element_size(format));
      velocities.emplace_back(count * element_size(velocity_format));
      scales.emplace_back(is_coded ? blocks_of(count) * sizeof(float) : 0);
      compensations.emplace_back(rounding == Rounding::compensated ? count * 2 : 0);
      fill(params.back(), format, random);
      fill(grads.back(), format, random);
      if (is_coded) {
        fill_codes(velocities.back(), scales.back(), random);
      } else {
        fill(velocities.back(), velocity, random);
      }
      entries.push_back({params.back().data(), has_velocity ? velocities.back().data() : nullptr,
                         rounding == Rounding::compensated ? compensations.back().data() : nullptr, count,
                         static_cast<int>(entries.size() % 2), format, velocity_format, rounding,
                         static_cast<std::uint32_t>(entries.size()), 7,
                         is_coded ? reinterpret_cast<float*>(scales.back().data()) : nullptr});
      const Format wide = average_format(format);
      averages.emplace_back(count * element_size(wide));
      fill(averages.back(), wide, random_of_averages);
      addresses.push_back(grads.back().data());
    }
    for (const auto* all : written()) start.push_back(*all);
  }
  Step(const Step&) = delete;

  std::vector<std::vector<std::vector<char>>*> written() {
    return {&params, &velocities, &compensations, &scales, &averages};
  }

  // Puts everything back to how it was drawn; with averages or without.
  void begin(bool is_averaged) {
    auto from = start.begin();
    for (auto* all : written()) {
      for (std::size_t i = 0; i < all->size(); ++i)
        if (!(*all)[i].empty()) std::memcpy((*all)[i].data(), (*from)[i].data(), (*all)[i].size());
      ++from;
    }
    for (std::size_t i = 0; i < entries.size(); ++i) {
      entries[i].average = is_averaged ? averages[i].data() : nullptr;
      entries[i].weight = is_averaged ? 0.001 + 0.1 * (entries[i].count % 3) : 0;
    }
  }

  // Has every gradient multiplied by factors of units, which are of 1 element, of 77, of 181 or of all there are.
  void divide_into_units() {
    for (Entry& entry : entries) {
      entry.unit = entry.count % 181 == 0 ? 181 : entry.count % 77 == 0 ? 77 : entry.count % 3 == 0 ? 1 : entry.count;
      std::vector<double>& own = factors.emplace_back(entry.count / entry.unit);
      for (std::size_t i = 0; i < own.size(); ++i) own[i] = 1.0 / static_cast<double>(1 + i % 11);
      entry.factors = own.data();
    }
  }

  // Returns the norms of the units, end to end.
  std::vector<char> norms() const {
    std::vector<char> found;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      std::vector<double> own(entries[i].count / entries[i].unit);
      unit_norms(entries[i].format, addresses[i], own.size(), entries[i].unit, own.data());
      const char* const bytes = reinterpret_cast<const char*>(own.data());
      found.insert(found.end(), bytes, bytes + own.size() * sizeof(double));
    }
    return found;
  }

  std::uint64_t hash(std::uint64_t start) const {
    for (const auto* all : {&params, &velocities, &compensations, &scales})
      for (const std::vector<char>& bytes : *all) start = hash_of(bytes, start);
    return start;
  }

  std::uint64_t hash_of_averages() const {
    std::uint64_t hash = 14695981039346656037ull;
    for (const std::vector<char>& bytes : averages) hash = hash_of(bytes, hash);
    return hash;
  }

  std::vector<std::vector<char>> params, grads, velocities, compensations, scales, averages;
  std::vector<std::vector<std::vector<char>>> start;
  std::vector<Entry> entries;
  std::vector<const void*> addresses;
  std::deque<std::vector<double>> factors;
};

}  // namespace

int main() {
  int failures = 0;
  std::uint64_t whole = 14695981039346656037ull, whole_of_averages = whole, whole_of_units = whole;
  const std::vector<std::vector<Coefficients>> rules = {
      {{0, -0.1, -0.7, 0, 0.6, 0.9}, {0, -0.03, 0, 0, 1, 0}},
      {{-0.013, -0.1, -0.7, 0.02, 0.6, 0.9}, {-1e-4, -0.3, -0.27, 1e-4, 1, 0.9}},
  };
  for (int f = 0; f < static_cast<int>(Format::count); ++f)
    for (int v = 0; v < static_cast<int>(VelocityFormat::count); ++v)
      for (int r = 0; r < static_cast<int>(Rounding::count); ++r) {
        const auto format = static_cast<Format>(f);
        const auto velocity = static_cast<VelocityFormat>(v);
        const auto rounding = static_cast<Rounding>(r);
        if (!has_kernel(format, velocity, rounding)) continue;
        Step step(format, velocity, rounding, 17 * f + 5 * v + r);
        for (const auto& rule : rules) {
          std::uint64_t first = 0, first_of_averages = 0;
          bool is_first = true;
          for (const char* set : {"baseline", "avx2", "avx512"})
            for (const int threads : {1, 3}) {
              if (!set_instruction_set(set)) continue;
              set_thread_count(threads);
              const bool is_averaged = !is_first;  // which must change no bit of the step
              step.begin(is_averaged);
              for (std::uint32_t key = 0; key < 2; ++key) take_step(step.entries, step.addresses, rule, 12345u + key);
              const double squares = sum_of_squares(step.entries, step.addresses).squares;
              std::uint64_t own = step.hash(14695981039346656037ull);
              std::vector<char> sum(sizeof(squares));
              std::memcpy(sum.data(), &squares, sizeof(squares));
              own = hash_of(sum, own);
              const std::uint64_t averages = is_averaged ? step.hash_of_averages() : 0;
              if (is_averaged && first_of_averages == 0) {
                whole_of_averages = (whole_of_averages ^ averages) * 1099511628211ull;
                first_of_averages = averages;
              }
              if (is_first) {
                whole = (whole ^ own) * 1099511628211ull;
                first = own;
                is_first = false;
              } else if (own != first || averages != first_of_averages) {
                ++failures;
                std::fprintf(stderr, "failed: formats %d and %d, rounding %d: other bits on %s with %d threads\n", f, v, r,
                             set, threads);
              }
            }
        }
        step.divide_into_units();
        std::uint64_t first_of_units = 0;
        for (const char* set : {"baseline", "avx2", "avx512"})
          for (const int threads : {1, 3}) {
            if (!set_instruction_set(set)) continue;
            set_thread_count(threads);
            step.begin(threads == 3);
            take_step(step.entries, step.addresses, rules[1], 12345u);
            const std::uint64_t own = hash_of(step.norms(), step.hash(14695981039346656037ull));
            if (first_of_units == 0) {
              whole_of_units = (whole_of_units ^ own) * 1099511628211ull;
              first_of_units = own;
            } else if (own != first_of_units) {
              ++failures;
              std::fprintf(stderr, "failed: formats %d and %d, rounding %d: other bits of units on %s with %d threads\n", f,
                           v, r, set, threads);
            }
          }
      }
  std::printf("bits %016" PRIx64 ", of averages %016" PRIx64 ", of units %016" PRIx64 "\n", whole, whole_of_averages,
              whole_of_units);
  if (whole != expected_hash || whole_of_averages != expected_hash_of_averages ||
      whole_of_units != expected_hash_of_units) {
    ++failures;
    std::fprintf(stderr, "failed: expected %016" PRIx64 ", of averages %016" PRIx64 ", of units %016" PRIx64 "\n",
                 expected_hash, expected_hash_of_averages, expected_hash_of_units);
  }
  return failures != 0;
}
