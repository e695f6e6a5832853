// A failed system call as an Error that names the path.
#pragma once

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

}  // namespace reattn::io
