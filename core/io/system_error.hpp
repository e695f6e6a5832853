// A failed system call as an Error that names the path.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include "core/base/quote.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::io {

constexpr size_t kPathBytes = 512;  // of a path shown in a message

[[noreturn]] inline void fail_system(const std::string& path, std::string_view what, int error) {
  fail(ErrorCode::kIo, base::printable(path, kPathBytes), ": ", what, ": ",
       std::generic_category().message(error));
}

// What `call` returns, a system call that gives -1 with errno; made again where a signal came between.
template <class Call>
auto retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace reattn::io
