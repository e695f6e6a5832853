// The one try/catch: what stands between the engine's exceptions and the caller.
#pragma once

#include <utility>

#include "reattn/reattn.h"

namespace reattn::capi {

// Of the exception being handled: its status, and in *err (unless err is null) a new error object
// or, where there is no memory for one, a fixed one.
reattn_status report_current_exception(reattn_error** err) noexcept;

// Runs an entry's body, which returns its status and writes outputs last, when nothing can fail.
template <class F>
reattn_status guard(reattn_error** err, F&& body) noexcept {
  try {
    const reattn_status status = std::forward<F>(body)();
    if (err) *err = nullptr;
    return status;
  } catch (...) {
    return report_current_exception(err);
  }
}

}  // namespace reattn::capi
