// Messages for whoever asks: the ring behind reattn_log_next.
#pragma once

#include <string>

#include "reattn/kernels/error.hpp"

namespace reattn::capi {

void push_message(std::string text);

// One line, of parts as concat() takes them. Where there is no memory for it, it is lost: the log is no reason for an operation to fail.
template <class... Ts>
void log_message(const Ts&... parts) noexcept {
  try {
    push_message(concat(parts...));
  } catch (...) {
  }
}

}  // namespace reattn::capi
