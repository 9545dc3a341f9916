#include "plan.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>

#include "blocks.h"
#include "rounding.h"
#include "thread_pool.h"

namespace downslope {
namespace {

// Below this many elements a second thread costs more to wake than it saves.
constexpr std::size_t elements_per_thread = std::size_t{1} << 17;
// Shares are several times as many as threads: whoever is held up (by another library's threads, say, that still spin
// on its processor) takes fewer of them. What a share holds is fixed, so who takes it makes no difference.
constexpr std::size_t shares_per_thread = 8;
// Shares begin at multiples of this many elements, so that two threads seldom write to one cache line.
constexpr std::size_t alignment = 64;
// Elements that are stepped before they are taken into their average, and whose gradient is multiplied by the factors of
// units before that, as measured: of fewer the calls would tell, and of more the memory of averages is asked for apart
// from the rest. With a velocity of codes a block.
constexpr std::size_t stretch = 512;
static_assert(stretch % alignment == 0 && block_length % alignment == 0);
// Elements of one partial sum of a reduction: fixed, so that sums do not depend on threads.
constexpr std::size_t block = std::size_t{1} << 14;

int available(const KernelTable* (&tables)[3]) {
  int count = 0;
  tables[count++] = &baseline::table;
#ifdef DOWNSLOPE_X86
  if (__builtin_cpu_supports("avx2")) tables[count++] = &avx2::table;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    tables[count++] = &avx512::table;
#endif
  return count;
}

const KernelTable* best() {
  const KernelTable* tables[3];
  return tables[available(tables) - 1];
}

std::atomic<const KernelTable*> chosen{best()};

// Whether this processor's own prefetching is in time for whole tensors, where those lines that a program asks for are in
// its way; measured on AMD's alone (of a step of many elements a fifth on Zen 4, a twentieth on Zen 3).
#ifdef DOWNSLOPE_X86
const bool prefetches_well = __builtin_cpu_is("amd");
#else
constexpr bool prefetches_well = false;
#endif
// From so many elements on, which no cache of one processor holds.
constexpr std::size_t many_elements = std::size_t{1} << 20;

// Calls visit(entry index, first element, count) for the part [begin, end) of all elements laid end to end.
template <class Visit>
void visit_range(const std::vector<Entry>& entries, const std::vector<const void*>& grads, std::size_t begin,
                 std::size_t end, Visit visit) {
  std::size_t start = 0;
  for (std::size_t i = 0; i < entries.size() && start < end; ++i) {
    if (grads[i] == nullptr) continue;
    const std::size_t stop = start + entries[i].count;
    if (stop > begin && entries[i].count > 0) {
      const std::size_t low = std::max(begin, start) - start;
      visit(i, low, std::min(end, stop) - start - low);
    }
    start = stop;
  }
}

std::size_t total_elements(const std::vector<Entry>& entries, const std::vector<const void*>& grads) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (grads[i] != nullptr) total += entries[i].count;
  return total;
}

// Returns where the block that holds an element ends, or begins if the element is its first.
std::size_t to_block(std::size_t element, std::size_t count) {
  return std::min(blocks_of(element) * block_length, count);
}

// Returns into how many shares to divide so many elements.
int shares_of(std::size_t total) {
  const auto threads = std::clamp<std::size_t>(total / elements_per_thread, 1, thread_count());
  return static_cast<int>(threads == 1 ? 1 : threads * shares_per_thread);
}

// Steps elements of one tensor, whose gradient begins at `grad`.
void step_part(const KernelTable& table, const Entry& entry, const void* grad, const Coefficients& coefficients,
               std::uint32_t key, std::size_t first, std::size_t count, bool asks_for_lines) {
  const std::size_t size = element_size(entry.format);
  const Piece piece{static_cast<char*>(entry.param) + first * size,
                    grad,
                    entry.velocity ? static_cast<char*>(entry.velocity) + first * element_size(entry.velocity_format)
                                   : nullptr,
                    entry.compensation ? static_cast<char*>(entry.compensation) + first * 2 : nullptr,
                    count,
                    random_bits(key, entry.index),
                    entry.first + static_cast<std::uint32_t>(first),
                    entry.scales ? entry.scales + first / block_length : nullptr,
                    asks_for_lines};
  table.step[static_cast<int>(entry.format)][static_cast<int>(entry.velocity_format)]
            [static_cast<int>(entry.rounding)](piece, coefficients);
}

// Writes elements of one tensor's gradient, each times its unit's factor.
void scale_part(const KernelTable& table, const Entry& entry, const void* grad, std::size_t first, std::size_t count,
                char* scaled) {
  const std::size_t size = element_size(entry.format);
  for (const std::size_t stop = first + count; first < stop;) {
    const std::size_t some = std::min((first / entry.unit + 1) * entry.unit, stop) - first;
    table.scale[static_cast<int>(entry.format)](static_cast<const char*>(grad) + first * size, scaled, some,
                                                entry.factors[first / entry.unit]);
    first += some;
    scaled += some * size;
  }
}

// Returns the largest magnitude of elements of float64 that are finite.
double largest_magnitude(const double* values, std::size_t count) {
  double largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(values[i]));
  return largest;
}

// Takes elements of one tensor, just stepped, into their average.
void average_part(const KernelTable& table, const Entry& entry, std::size_t first, std::size_t count,
                  bool asks_for_lines) {
  table.average[static_cast<int>(entry.format)](
      static_cast<const char*>(entry.param) + first * element_size(entry.format),
      static_cast<char*>(entry.average) + first * element_size(average_format(entry.format)), count, entry.weight,
      asks_for_lines);
}

}  // namespace

void take_step(const std::vector<Entry>& entries, const std::vector<const void*>& grads,
               const std::vector<Coefficients>& coefficients, std::uint32_t key) {
  const KernelTable& table = *chosen.load();
  const std::size_t total = total_elements(entries, grads);
  const int shares = shares_of(total);
  const std::size_t per_share = (total / shares + alignment) / alignment * alignment;
  const bool asks_for_lines = total < many_elements || !prefetches_well;
  const auto take = [&](int share) {
    visit_range(entries, grads, share * per_share, std::min(total, (share + 1) * per_share),
                [&](std::size_t i, std::size_t first, std::size_t count) {
                  const Entry& entry = entries[i];
                  if (entry.velocity_format == VelocityFormat::coded) {  // the blocks that begin here, all of them whole
                    const std::size_t stop = to_block(first + count, entry.count);
                    first = to_block(first, entry.count);
                    if (first == stop) return;
                    count = stop - first;
                  }
                  alignas(alignment) char scaled[stretch * sizeof(double)];
                  const auto step = [&](std::size_t first, std::size_t count) {
                    const void* grad = static_cast<const char*>(grads[i]) + first * element_size(entry.format);
                    if (entry.factors != nullptr) {
                      scale_part(table, entry, grads[i], first, count, scaled);
                      grad = scaled;
                    }
                    step_part(table, entry, grad, coefficients[entry.group], key, first, count, asks_for_lines);
                  };
                  if (entry.average == nullptr && entry.factors == nullptr) {
                    step(first, count);
                    return;
                  }
                  const bool is_coded = entry.velocity_format == VelocityFormat::coded;
                  const std::size_t length = is_coded ? block_length : stretch;
                  for (const std::size_t stop = first + count; first < stop; first += length) {
                    const std::size_t some = std::min(length, stop - first);
                    step(first, some);
                    if (entry.average != nullptr) average_part(table, entry, first, some, asks_for_lines);
                  }
                });
  };
  run_parallel(shares, std::ref(take));  // by reference: a copy would be allocated
}

BlockSum sum_of_squares(const std::vector<Entry>& entries, const std::vector<const void*>& grads) {
  const KernelTable& table = *chosen.load();
  struct Block {
    std::size_t entry, first, count;
  };
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (grads[i] != nullptr)
      for (std::size_t first = 0; first < entries[i].count; first += block)
        blocks.push_back({i, first, std::min(block, entries[i].count - first)});
  std::vector<BlockSum> sums(blocks.size());
  const std::size_t total = total_elements(entries, grads);
  const int shares = shares_of(total);
  const auto add = [&](int share) {
    const std::size_t begin = blocks.size() * share / shares, end = blocks.size() * (share + 1) / shares;
    for (std::size_t b = begin; b < end; ++b) {
      const Format format = entries[blocks[b].entry].format;
      const char* values = static_cast<const char*>(grads[blocks[b].entry]);
      sums[b] = table.sum_of_squares[static_cast<int>(format)](values + blocks[b].first * element_size(format),
                                                               blocks[b].count);
    }
  };
  run_parallel(shares, std::ref(add));
  BlockSum all{0, true};
  for (const BlockSum& sum : sums) {
    all.squares += sum.squares;
    all.finite = all.finite && sum.finite;
  }
  return all;
}

void unit_norms(Format format, const void* values, std::size_t units, std::size_t length, double* norms) {
  const Reduction reduce = chosen.load()->sum_of_squares[static_cast<int>(format)];
  const char* const begin = static_cast<const char*>(values);
  const std::size_t size = element_size(format);
  const auto norm_of = [&](std::size_t unit) {
    BlockSum all{0, true};
    for (std::size_t first = 0; first < length; first += block) {
      const BlockSum sum = reduce(begin + (unit * length + first) * size, std::min(block, length - first));
      all.squares += sum.squares;
      all.finite = all.finite && sum.finite;
    }
    // the squares of float64's largest and smallest leave it, where those of their shares of the largest do not
    if (format != Format::float64 || !all.finite || (all.squares > 1e-280 && all.squares < 1e300))
      return std::sqrt(all.squares);
    const double* const elements = static_cast<const double*>(values) + unit * length;
    const double largest = largest_magnitude(elements, length);
    if (largest == 0) return 0.0;
    double squares = 0;
    for (std::size_t i = 0; i < length; ++i) squares += elements[i] / largest * (elements[i] / largest);
    return largest * std::sqrt(squares);
  };
  const int shares = shares_of(units * length);
  const auto take = [&](int share) {
    for (std::size_t unit = units * share / shares; unit < units * (share + 1) / shares; ++unit) norms[unit] = norm_of(unit);
  };
  run_parallel(shares, std::ref(take));
}

std::size_t element_size(Format format) {
  switch (format) {
    case Format::float32: return 4;
    case Format::float64: return 8;
    default: return 2;
  }
}

std::size_t element_size(VelocityFormat format) {
  switch (format) {
    case VelocityFormat::absent: return 0;
    case VelocityFormat::coded: return 1;
    default: return element_size(static_cast<Format>(format));
  }
}

bool has_kernel(Format format, VelocityFormat velocity_format, Rounding rounding) {
  return baseline::table.step[static_cast<int>(format)][static_cast<int>(velocity_format)]
                             [static_cast<int>(rounding)] != nullptr;
}

const char* instruction_set() { return chosen.load()->name; }

bool set_instruction_set(const char* name) {
  const KernelTable* tables[3];
  const int count = available(tables);
  for (int i = 0; i < count; ++i)
    if (std::strcmp(tables[i]->name, name) == 0) {
      chosen.store(tables[i]);
      return true;
    }
  return false;
}

}  // namespace downslope
