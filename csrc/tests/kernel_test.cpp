// The kernels' own test, without Python, to be built with sanitizers (run_sanitized.sh): every format, instruction set
// and number of threads, on buffers of exactly the size in use, so that a step too far is seen. Numbers are compared
// with sums in double; that formats are converted right bit by bit is tested from Python.

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "blocks.h"
#include "plan.h"
#include "rounding.h"
#include "thread_pool.h"

#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {

using namespace downslope;

int failures = 0;

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++failures;
}

void expect(bool condition, const std::string& what) { expect(condition, what.c_str()); }

std::size_t size_of(Format format) { return format == Format::float64 ? 8 : format == Format::float32 ? 4 : 2; }

// A tensor on memory of its own, off the alignment of its format's vectors where `offset` is not 0.
struct Buffer {
  Buffer(Format format, std::size_t count, std::size_t offset)
      : format(format), count(count), offset(offset), bytes(new char[(count + offset) * size_of(format)]) {}
  char* data() const { return bytes.get() + offset * size_of(format); }
  std::size_t size() const { return count * size_of(format); }

  void set(std::size_t i, float value) {
    char* at = data() + i * size_of(format);
    const double wide = value;
    const bfloat16 brain = narrow<bfloat16>(value);
    const float16 half = narrow<float16>(value);
    switch (format) {
      case Format::float32: std::memcpy(at, &value, 4); break;
      case Format::float64: std::memcpy(at, &wide, 8); break;
      case Format::bfloat16: std::memcpy(at, &brain, 2); break;
      default: std::memcpy(at, &half, 2);
    }
  }
  double get(std::size_t i) const {
    const char* at = data() + i * size_of(format);
    float single;
    double wide;
    bfloat16 brain;
    float16 half;
    switch (format) {
      case Format::float32: std::memcpy(&single, at, 4); return single;
      case Format::float64: std::memcpy(&wide, at, 8); return wide;
      case Format::bfloat16: std::memcpy(&brain, at, 2); return widen(brain);
      default: std::memcpy(&half, at, 2); return widen(half);
    }
  }
  std::string content() const { return std::string(data(), size()); }

  Format format;
  std::size_t count, offset;
  std::unique_ptr<char[]> bytes;
};

constexpr std::size_t lengths[] = {1, 3, 15, 16, 17, 63, 64, 65, 1001, 16385, 131073, 150001};
constexpr int thread_counts[] = {1, 2, 3, 7};

// Normally distributed numbers, out of a store that is drawn once. Values that are special in some format come back
// every few elements.
float value_at(std::uint32_t start, std::size_t i) {
  static const std::vector<float> store = [] {
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    std::vector<float> values(10007);
    for (float& value : values) value = normal(random);
    return values;
  }();
  if (i % 97 == 5) return 0.0f;
  if (i % 97 == 6) return -0.0f;
  if (i % 97 == 7) return 0x1p-140f;
  return store[(start + i) % store.size()];
}

double last_place(Format format, double x) {
  const int bits = format == Format::float32 ? 23 : format == Format::float64 ? 52 : format == Format::bfloat16 ? 7 : 10;
  const int smallest = format == Format::float16 ? -14 : -126;
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(x) >> 52 & 0x7ff) - 1023;  // ilogb, but for 0
  return std::bit_cast<double>(static_cast<std::uint64_t>(std::max(exponent, smallest) - bits + 1023) << 52);
}

// The tensors of one combination of formats, made once and reset before each step.
struct Tensors {
  Tensors(Format format, VelocityFormat velocity_format, Rounding rounding)
      : format(format), rounding(rounding), velocity_format(velocity_format) {
    std::mt19937 random(7);
    for (const std::size_t count : lengths) {
      const std::size_t offset = params.size() % 2;  // every second one off the alignment of vectors
      for (auto* buffers : {&params, &grads, &velocities, &compensations}) {
        const bool is_velocity = buffers == &velocities && has_velocity();
        buffers->emplace_back(buffers == &compensations ? Format::bfloat16
                              : is_velocity             ? static_cast<Format>(velocity_format)
                                                        : format,
                              count, offset);
        Buffer& buffer = buffers->back();
        const auto start = static_cast<std::uint32_t>(random()) % 10007;
        for (std::size_t i = 0; i < count; ++i) buffer.set(i, buffers == &compensations ? 0.0f : value_at(start, i));
      }
      entries.push_back({params.back().data(), has_velocity() ? velocities.back().data() : nullptr,
                         rounding == Rounding::compensated ? compensations.back().data() : nullptr, count,
                         static_cast<int>(entries.size() % 2), format, velocity_format, rounding,
                         static_cast<std::uint32_t>(entries.size()), 0});
      // every fifth tensor has no gradient and must stay as it is
      addresses.push_back(entries.size() % 5 == 0 ? nullptr : grads.back().data());
    }
    // an entry without elements, whatever its address: nothing is read
    entries.push_back({nullptr, nullptr, nullptr, 0, 0, format, velocity_format, rounding, 99, 0});
    addresses.push_back(grads.front().data());
    start = content();
  }

  bool has_velocity() const { return velocity_format != VelocityFormat::absent; }

  std::vector<std::string> content() const {
    std::vector<std::string> all;
    for (const auto* buffers : {&params, &velocities, &compensations})
      for (const Buffer& buffer : *buffers) all.push_back(buffer.content());
    return all;
  }

  bool is(const std::vector<std::string>& all) const {
    auto with = all.begin();
    for (const auto* buffers : {&params, &velocities, &compensations})
      for (const Buffer& buffer : *buffers)
        if (std::memcmp(buffer.data(), (with++)->data(), buffer.size()) != 0) return false;
    return true;
  }

  void reset() {
    auto from = start.begin();
    for (auto* buffers : {&params, &velocities, &compensations})
      for (Buffer& buffer : *buffers) std::memcpy(buffer.data(), (from++)->data(), buffer.size());
  }

  Format format;
  Rounding rounding;
  VelocityFormat velocity_format;
  std::vector<Buffer> params, grads, velocities, compensations;
  std::vector<Entry> entries;
  std::vector<const void*> addresses;
  std::vector<std::string> start;
};

// Compares what a step wrote with the same sums in double.
void check_step(Tensors& tensors, const Coefficients& c) {
  std::vector<std::vector<double>> before;
  const auto after = tensors.content();
  tensors.reset();
  for (const auto* buffers : {&tensors.params, &tensors.velocities})
    for (const Buffer& buffer : *buffers) {
      before.emplace_back();
      for (std::size_t i = 0; i < buffer.count; ++i) before.back().push_back(buffer.get(i));
    }
  const std::size_t count = tensors.params.size();
  const Format compute = tensors.format == Format::float64 ? Format::float64 : Format::float32;
  double squares = 0;
  for (std::size_t t = 0; t < count; ++t) {
    std::memcpy(tensors.params[t].data(), after[t].data(), after[t].size());
    std::memcpy(tensors.velocities[t].data(), after[count + t].data(), after[count + t].size());
    const bool moves = tensors.addresses[t] != nullptr;
    int wrong = 0;
    for (std::size_t i = 0; i < tensors.params[t].count; ++i) {
      const double p = before[t][i], g = tensors.grads[t].get(i);
      const double v = tensors.has_velocity() ? before[count + t][i] : 0;
      squares += moves ? g * g : 0;
      const double exact = moves ? p + c.delta_param * p + c.delta_grad * g + c.delta_velocity * v : p;
      const double computed = 4 * last_place(compute, std::abs(p) + std::abs(g) + std::abs(v));
      const double places = tensors.rounding == Rounding::stochastic ? 1.0 : 0.5;
      wrong += !(std::abs(tensors.params[t].get(i) - exact) <= places * last_place(tensors.format, exact) + computed);
      if (tensors.has_velocity()) {
        const double next = moves ? c.velocity_param * p + c.velocity_grad * g + c.velocity_velocity * v : v;
        const Format written = static_cast<Format>(tensors.velocity_format);
        wrong += !(std::abs(tensors.velocities[t].get(i) - next) <= 0.5 * last_place(written, next) + computed);
      }
    }
    expect(wrong == 0, std::to_string(wrong) + " elements of tensor " + std::to_string(t));
  }
  const BlockSum sum = sum_of_squares(tensors.entries, tensors.addresses);
  expect(sum.finite && std::abs(sum.squares - squares) <= 1e-12 * squares, "sum of squares");
}

void test_steps() {
  const Coefficients plain{0, -0.1, -0.7, 0, 0.6, 0.9}, decaying{-0.013, -0.1, -0.7, 0.02, 0.6, 0.9};
  const std::string original = instruction_set();
  int combinations = 0;
  for (int f = 0; f < static_cast<int>(Format::count); ++f)
    for (int v = 0; v < static_cast<int>(VelocityFormat::coded); ++v)
      for (int r = 0; r < static_cast<int>(Rounding::count); ++r) {
        const auto format = static_cast<Format>(f);
        const auto velocity_format = static_cast<VelocityFormat>(v);
        const auto rounding = static_cast<Rounding>(r);
        if (!has_kernel(format, velocity_format, rounding)) continue;
        ++combinations;
        Tensors tensors(format, velocity_format, rounding);
        for (const Coefficients& c : {plain, decaying}) {
          std::vector<std::string> first;
          double first_sum = 0;
          for (const char* set : {"baseline", "avx2", "avx512"}) {
            if (!set_instruction_set(set)) continue;
            for (const int threads : thread_counts) {
              set_thread_count(threads);
              tensors.reset();
              take_step(tensors.entries, tensors.addresses, {c, c}, 12345u);
              const double sum = sum_of_squares(tensors.entries, tensors.addresses).squares;
              if (first.empty()) {
                first = tensors.content();
                first_sum = sum;
                check_step(tensors, c);
                continue;
              }
              expect(tensors.is(first) && sum == first_sum,
                     std::string("the same bits on ") + set + " with " + std::to_string(threads) + " threads");
            }
          }
        }
      }
  expect(set_instruction_set(original.c_str()), "the instruction set is put back");
  expect(combinations == 30, "20 combinations to nearest, 5 stochastic, 5 compensated");
  std::printf("%d combinations of formats and rounding\n", combinations);
}

// Plain bfloat16 never leaves 1.0 in steps of 0.001; compensated, 1000 of them arrive at 2.0.
void test_compensation() {
  for (const Rounding rounding : {Rounding::nearest, Rounding::compensated}) {
    Buffer param(Format::bfloat16, 5, 0), grad(Format::bfloat16, 5, 0), compensation(Format::bfloat16, 5, 0);
    for (std::size_t i = 0; i < 5; ++i) {
      param.set(i, 1.0f);
      grad.set(i, 1.0f);
      compensation.set(i, 0.0f);
    }
    const Entry entry{param.data(), nullptr, rounding == Rounding::compensated ? compensation.data() : nullptr, 5, 0,
                      Format::bfloat16, VelocityFormat::absent, rounding, 0, 0};
    for (int step = 0; step < 1000; ++step) take_step({entry}, {grad.data()}, {{0, 0.001, 0, 0, 0, 0}}, step);
    const double end = param.get(4);
    expect(rounding == Rounding::nearest ? end == 1.0 : std::abs(end - 2.0) < 0.02, "end " + std::to_string(end));
  }
}

// average + weight * (param - average), each operation rounded, by hand: over tiles and blocks cut short, in parts of a
// tensor, with every way that a step takes; what has no gradient keeps its average.
void test_averages() {
  for (int f = 0; f < static_cast<int>(Format::count); ++f)
    for (const VelocityFormat velocity_format : {VelocityFormat::absent, VelocityFormat::float32, VelocityFormat::coded}) {
      const auto format = static_cast<Format>(f);
      if (!has_kernel(format, velocity_format, Rounding::nearest)) continue;
      const bool is_coded = velocity_format == VelocityFormat::coded;
      for (const std::size_t count : {1, 63, 64, 65, 255, 256, 257, 1000, 280007}) {
        Buffer param(format, count, 0), grad(format, count, 0), average(average_format(format), count, 0);
        Buffer velocity(Format::float32, count, 0);
        std::vector<float> scales(blocks_of(count), 1.0f);
        for (std::size_t i = 0; i < count; ++i) {
          param.set(i, value_at(3, i));
          grad.set(i, value_at(5, i));
          average.set(i, value_at(7, i));
          velocity.set(i, 0.0f);
        }
        Entry entry{};
        entry.param = param.data(), entry.average = average.data(), entry.weight = 0.1;
        entry.velocity = velocity_format == VelocityFormat::absent ? nullptr : velocity.data();
        entry.scales = is_coded ? scales.data() : nullptr;
        entry.count = count, entry.format = format, entry.velocity_format = velocity_format;
        std::vector<double> before;
        for (std::size_t i = 0; i < count; ++i) before.push_back(average.get(i));
        take_step({entry}, {nullptr}, {{0, -0.1, -0.7, 0, 0.6, 0.9}}, 1);
        int wrong = 0;
        for (std::size_t i = 0; i < count; ++i) wrong += average.get(i) != before[i];
        expect(wrong == 0, "without a gradient nothing is averaged");
        take_step({entry}, {grad.data()}, {{0, -0.1, -0.7, 0, 0.6, 0.9}}, 1);
        for (std::size_t i = 0; i < count; ++i) {
          const double p = param.get(i);
          const float narrow_difference = static_cast<float>(p) - static_cast<float>(before[i]);
          const float narrow_share = 0.1f * narrow_difference;
          const double difference = p - before[i], share = 0.1 * difference;
          wrong += average.get(i) != (format == Format::float64 ? before[i] + share
                                                                : static_cast<float>(before[i]) + narrow_share);
        }
        expect(wrong == 0, std::to_string(wrong) + " averages of " + std::to_string(count));
      }
    }
}

// The widening and narrowing of float16 and bfloat16 over a walk through all float32 bit patterns.
void test_narrowing() {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float wide = widen(float16{static_cast<std::uint16_t>(bits)});
    if (!std::isnan(wide)) expect(narrow<float16>(wide).bits == bits, "float16 to float32 and back");
    const float brain = widen(bfloat16{static_cast<std::uint16_t>(bits)});
    if (!std::isnan(brain)) expect(narrow<bfloat16>(brain).bits == bits, "bfloat16 to float32 and back");
  }
  std::uint32_t bits = 0;
  do {
    const float x = std::bit_cast<float>(bits);
    if (std::isfinite(x)) {
      const float half = widen(narrow<float16>(x));
      const float below = std::abs(x) < 65520 ? std::abs(half - x) : 0;
      expect(std::abs(x) >= 65520 ? std::isinf(half) : below <= 0.5 * last_place(Format::float16, x), "nearest float16");
      const float brain = widen(narrow<bfloat16>(x));
      expect(std::isinf(brain) ? std::abs(x) > 0x1.fep127f
                               : std::abs(double{brain} - x) <= 0.5 * last_place(Format::bfloat16, x),
             "nearest bfloat16");
    } else {
      expect(std::isnan(widen(narrow<float16>(x))) == std::isnan(x), "NaN stays NaN and inf inf");
      expect(std::isnan(widen(narrow<bfloat16>(x))) == std::isnan(x), "NaN stays NaN and inf inf");
    }
    bits += 4093;  // a prime, so that every pattern of the dropped bits is met
  } while (bits >= 4093);
}

void test_not_finite() {
  for (int f = 0; f < static_cast<int>(Format::count); ++f)
    for (const float value : {INFINITY, -INFINITY, NAN}) {
      Buffer grad(static_cast<Format>(f), 40003, 0);
      for (std::size_t i = 0; i < grad.count; ++i) grad.set(i, 1.0f);
      grad.set(40002, value);
      Entry entry{};
      entry.count = grad.count;
      entry.format = static_cast<Format>(f);
      expect(!sum_of_squares({entry}, {grad.data()}).finite, "a last element that is not finite");
    }
  expect(sum_of_squares({}, {}).squares == 0, "nothing sums to 0");
  take_step({}, {}, {}, 0);
}

// Pools of changing sizes, from several threads at once and in a forked child.
void test_threads() {
  const auto total = [](int shares) {
    std::vector<int> counts(shares);
    run_parallel(shares, [&](int share) { counts[share] += share + 1; });
    int sum = 0;
    for (const int count : counts) sum += count;
    return sum;
  };
  for (int round = 0; round < 300; ++round) {
    set_thread_count(1 + round % 8);
    expect(total(1 + round % 11) == (1 + round % 11) * (2 + round % 11) / 2, "every share once");
  }
  std::vector<std::thread> callers;
  std::vector<int> wrong(4);
  set_thread_count(3);
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 300; ++round) wrong[caller] += total(9) != 45;
    });
  for (auto& caller : callers) caller.join();
  for (const int count : wrong) expect(count == 0, "callers at once");
#if defined(__unix__)
  const pid_t child = fork();
  if (child == 0) _exit(total(9) == 45 ? 0 : 1);
  int status = 1;
  waitpid(child, &status, 0);
  expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child");
  expect(total(9) == 45, "its parent");
#endif
  set_thread_count(-5);
  expect(thread_count() == 1, "at least one thread");
}

// Every share is computed as its caller computes, although callers differ and rounds follow at once: a worker that wakes
// late must not take shares of the next round in the last one's environment.
void test_environments() {
  for (const int count : {2, 3}) {
    set_thread_count(count);
    int wrong = 0;
    for (int round = 0; round < 4000; ++round) {
      std::fesetround(round % 2 == 0 ? FE_TONEAREST : FE_UPWARD);
      const int wanted = std::fegetround();
      std::vector<int> seen(4, -1);
      run_parallel(4, [&](int share) {
        volatile double x = 0;
        for (int i = 0; i < 100; ++i) x = x + 1;
        seen[share] = std::fegetround();
      });
      for (const int mode : seen) wrong += mode != wanted;
    }
    std::fesetround(FE_TONEAREST);
    expect(wrong == 0, std::to_string(wrong) + " shares in another round's environment");
  }
}

}  // namespace

// With an argument, only what threads have to do with.
int main(int count, char**) {
  if (count > 1) {
    test_threads();
    test_environments();
    std::puts("threads: passed");
    return failures != 0;
  }
  const std::string original = instruction_set();
  for (const char* set : {"baseline", "avx2", "avx512"})
    if (set_instruction_set(set)) test_averages();
  set_instruction_set(original.c_str());
  test_narrowing();
  test_not_finite();
  test_threads();
  test_environments();
  test_compensation();
  test_steps();
  if (failures == 0) std::puts("all passed");
  return failures == 0 ? 0 : 1;
}
