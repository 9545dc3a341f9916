// What XLA's foreign function interface passes to a handler and expects of it: the layouts of its C structures.
//
// Written down here so that the module is built without XLA's headers. Only what the handler reads is named; XLA gives
// structures more fields at their ends from version to version, and asks a handler for its version before it calls it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace downslope::xla {

// The versions of the interface that have these layouts: 0.1 (jaxlib 0.8) to 0.3 (jaxlib 0.10).
constexpr int major = 0, oldest_minor = 1, newest_minor = 3;

enum class DataType : int { float16 = 10, float32 = 11, float64 = 12, bfloat16 = 16 };  // of many
enum class Stage : int { instantiate, prepare, initialize, execute };
constexpr int buffer = 1;              // type of an argument or a result: the only one there is
constexpr int metadata_extension = 1;  // type of an extension: XLA asks about the handler, and calls nothing

// Every structure begins with its size and a list of extensions.
struct Extension {
  std::size_t size;
  int type;
  Extension* next;
};

struct Version {
  std::size_t size;
  Extension* extensions;
  int major, minor;
};

struct Metadata {
  std::size_t size;
  Version version;       // out
  std::uint32_t traits;  // out
};

struct MetadataExtension {
  Extension base;
  Metadata* metadata;
};

struct Buffer {
  std::size_t size;
  Extension* extensions;
  DataType type;
  void* data;
  std::int64_t rank;
  std::int64_t* dims;
};

struct Error;

struct NewError {
  std::size_t size;
  Extension* extensions;
  const char* message;
  int code;
};
constexpr int invalid_argument = 3;

struct Api {
  std::size_t size;
  Extension* extensions;
  Version version;
  const void* internal;
  Error* (*create_error)(NewError*);
};

// Arguments or results.
struct Buffers {
  std::size_t size;
  Extension* extensions;
  std::int64_t count;
  int* types;
  void** items;
};

struct Call {
  std::size_t size;
  Extension* extensions;
  const Api* api;
  void* context;
  Stage stage;
  Buffers arguments, results;
};

using Handler = Error*(Call*);

}  // namespace downslope::xla
