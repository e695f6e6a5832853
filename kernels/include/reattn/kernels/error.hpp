// The one exception type of the library, and how its messages are put together.
#pragma once

#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace reattn {

// Values are those of reattn_status in reattn.h (checked there by static_assert).
enum class ErrorCode : int32_t {
  kArg = -1,          // an argument is out of its range
  kHandle = -2,       // a handle is stale, of another type, or was never one
  kBusy = -3,         // another call uses the object now
  kCancelled = -4,    // cancelled by the caller
  kNoDevice = -5,     // no such device, or it cannot be used
  kDeviceLost = -6,   // the device failed for good
  kOomHost = -7,      // host memory cannot hold it
  kOomDevice = -8,    // device memory cannot hold it
  kFormat = -9,       // a file's content is not what its format says
  kMismatch = -10,    // a snapshot belongs to another model, tokenizer or layout
  kBuffer = -11,      // the caller's buffer is too small
  kUnsupported = -12, // valid, but this build cannot do it
  kInternal = -13,    // a fault of the library
  kIo = -14,          // the operating system refused to read or write
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

namespace detail {
inline void append(std::string& out, std::string_view v) { out.append(v); }
inline void append(std::string& out, char v) { out.push_back(v); }
template <class T>
  requires std::integral<T> || std::floating_point<T>
void append(std::string& out, T v) {
  out.append(std::to_string(v));
}
}  // namespace detail

// concat("tensor '", name, "' has ", n, " rows"): text and numbers, one after the other.
template <class... Ts>
std::string concat(const Ts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

template <class... Ts>
[[noreturn]] void fail(ErrorCode code, const Ts&... parts) {
  throw Error(code, concat(parts...));
}

}  // namespace reattn
