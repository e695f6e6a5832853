// One caller at a time: an overlap is an error, not a wait and not a race.
#pragma once

#include <atomic>
#include <string_view>

#include "reattn/kernels/error.hpp"

namespace reattn::engine {

class Exclusive {
 public:
  // Throws Error(kBusy) naming the object where another call is inside.
  Exclusive(std::atomic<bool>& in_use, std::string_view object) : in_use_(in_use) {
    if (in_use_.exchange(true))
      fail(ErrorCode::kBusy, "the ", object, " is in use by another call");
  }
  ~Exclusive() { in_use_.store(false); }
  Exclusive(const Exclusive&) = delete;
  Exclusive& operator=(const Exclusive&) = delete;

 private:
  std::atomic<bool>& in_use_;
};

}  // namespace reattn::engine
