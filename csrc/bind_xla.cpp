// The step as XLA calls it from a compiled program: a handler of its foreign function interface, handed to Python as a
// capsule, which JAX registers.
//
// Arguments: coefficients, float64 of shape [n, 6]; n params; n grads; velocities of the first m <= n params. Results:
// n params and m velocities. Params and velocities are declared as aliases of their results: XLA then calls with both
// in the same place, and copies beforehand what is still needed elsewhere.

#include <nanobind/nanobind.h>

#include <atomic>
#include <cfenv>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "bind.h"
#include "plan.h"
#include "xla_ffi.h"

using namespace nb::literals;

namespace downslope {
namespace {

// Computes as the process does, not as XLA's threads: these take subnormal numbers for zero, and every float16 below
// 2^-14 is one on its way to float32.
class DefaultEnvironment {
 public:
  DefaultEnvironment() {
    std::fegetenv(&kept_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultEnvironment() { std::fesetenv(&kept_); }
  DefaultEnvironment(const DefaultEnvironment&) = delete;
  DefaultEnvironment& operator=(const DefaultEnvironment&) = delete;

 private:
  std::fenv_t kept_;
};

Format format_of(xla::DataType type) {
  switch (type) {
    case xla::DataType::float32: return Format::float32;
    case xla::DataType::bfloat16: return Format::bfloat16;
    case xla::DataType::float16: return Format::float16;
    case xla::DataType::float64: return Format::float64;
    default: return Format::count;
  }
}

std::size_t count_of(const xla::Buffer& buffer) {
  std::size_t count = 1;
  for (std::int64_t i = 0; i < buffer.rank; ++i) count *= static_cast<std::size_t>(buffer.dims[i]);
  return count;
}

// Looks at the arguments, and returns what is wrong with them; null if nothing is.
class Step {
 public:
  const char* look(const xla::Call& call) {
    const xla::Buffers &arguments = call.arguments, &results = call.results;
    if (arguments.count < 1) return "downslope: no coefficients";
    const xla::Buffer& numbers = at(arguments, 0);
    if (numbers.type != xla::DataType::float64 || numbers.rank != 2 || numbers.dims[1] != 6)
      return "downslope: coefficients must be float64 of shape [n, 6]";
    const std::int64_t params = numbers.dims[0], velocities = results.count - params;
    if (velocities < 0 || velocities > params || arguments.count != 1 + 2 * params + velocities)
      return "downslope: the numbers of params, grads and velocities do not fit";
    coefficients.resize(params);
    if (params > 0) std::memcpy(coefficients.data(), numbers.data, params * sizeof(Coefficients));
    entries.reserve(params);
    grads.reserve(params);
    for (std::int64_t i = 0; i < params; ++i) {
      const xla::Buffer &param = at(arguments, 1 + i), &grad = at(arguments, 1 + params + i);
      Entry entry{};
      entry.format = format_of(param.type);
      entry.count = count_of(param);
      entry.group = static_cast<int>(i);
      entry.velocity_format = VelocityFormat::absent;
      entry.rounding = Rounding::nearest;
      if (entry.format == Format::count || grad.type != param.type || count_of(grad) != entry.count)
        return "downslope: a gradient does not fit its param, or has no kernel";
      if (!alike(param, at(results, i))) return "downslope: a result does not fit its param";
      entry.param = in_place(param, at(results, i), entry.count * element_size(entry.format));
      if (i < velocities) {
        const xla::Buffer& velocity = at(arguments, 1 + 2 * params + i);
        const Format format = format_of(velocity.type);
        if (format == Format::count || count_of(velocity) != entry.count || !alike(velocity, at(results, params + i)))
          return "downslope: a velocity does not fit its param, or its result";
        entry.velocity_format = static_cast<VelocityFormat>(format);
        entry.velocity = in_place(velocity, at(results, params + i), entry.count * element_size(format));
      }
      if (!has_kernel(entry.format, entry.velocity_format, entry.rounding))
        return "downslope: there is no kernel for these formats";
      entries.push_back(entry);
      grads.push_back(grad.data);
    }
    return nullptr;
  }

  std::vector<Entry> entries;
  std::vector<const void*> grads;
  std::vector<Coefficients> coefficients;  // one set for each param

 private:
  static const xla::Buffer& at(const xla::Buffers& buffers, std::int64_t i) {
    return *static_cast<const xla::Buffer*>(buffers.items[i]);
  }

  static bool alike(const xla::Buffer& argument, const xla::Buffer& result) {
    return argument.type == result.type && count_of(argument) == count_of(result);
  }

  // Returns where the result lies, with the argument's content.
  static void* in_place(const xla::Buffer& argument, const xla::Buffer& result, std::size_t bytes) {
    if (result.data != argument.data && bytes > 0) std::memcpy(result.data, argument.data, bytes);
    return result.data;
  }
};

// The version that the handler says it is of: the layouts are the same in several, and XLA may insist on its own.
std::atomic<int> minor{xla::newest_minor};

xla::Error* step(xla::Call* call) {
  if (call->extensions != nullptr && call->extensions->type == xla::metadata_extension) {
    xla::Metadata& metadata = *reinterpret_cast<xla::MetadataExtension*>(call->extensions)->metadata;
    metadata.version = {sizeof(xla::Version), nullptr, xla::major, minor.load()};
    metadata.traits = 0;
    return nullptr;
  }
  if (call->stage != xla::Stage::execute) return nullptr;
  const char* message = nullptr;
  try {  // XLA knows no exceptions
    Step step;
    message = step.look(*call);
    if (message == nullptr) {
      const DefaultEnvironment environment;
      take_step(step.entries, step.grads, step.coefficients, 0);
    }
  } catch (const std::exception&) {
    message = "downslope: there is no memory for the list of tensors";
  }
  if (message == nullptr) return nullptr;
  xla::NewError error{sizeof(xla::NewError), nullptr, message, xla::invalid_argument};
  return call->api->create_error(&error);
}

}  // namespace

void bind_xla(nb::module_& m) {
  m.attr("XLA_OLDEST_MINOR") = xla::oldest_minor;
  m.attr("XLA_NEWEST_MINOR") = xla::newest_minor;
  m.def(
      "xla_step",
      [](int version_minor) {
        if (version_minor < xla::oldest_minor || version_minor > xla::newest_minor)
          throw std::invalid_argument("there are no layouts of this version");
        minor.store(version_minor);
        return nb::capsule(reinterpret_cast<void*>(&step), "xla._CUSTOM_CALL_TARGET");
      },
      "version_minor"_a);
}

}  // namespace downslope
