// Versions, names and the log.
#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "capi/log.hpp"
#include "reattn/reattn.h"

namespace reattn::capi {
namespace {

class LogRing {
 public:
  // Never destroyed: the library may be called while the process ends.
  static LogRing& instance() {
    static LogRing* const ring = new LogRing;
    return *ring;
  }

  void push(std::string text) {
    const std::scoped_lock lock(mutex_);
    ++last_;
    if (last_ - first_ >= kCapacity) first_ = last_ - kCapacity + 1;
    at(last_) = std::move(text);
  }

  reattn_status next(const StructOut<reattn_log_event>& event, const Output<uint8_t>& buffer) {
    const std::scoped_lock lock(mutex_);
    if (first_ > last_) return REATTN_END;
    const std::string& text = at(first_);
    buffer.write(text);
    event.write({.text_bytes = static_cast<uint32_t>(text.size()), .sequence = first_});
    ++first_;
    return REATTN_OK;
  }

 private:
  static constexpr uint64_t kCapacity = 256;

  std::string& at(uint64_t sequence) { return ring_[sequence % kCapacity]; }

  std::mutex mutex_;
  std::array<std::string, kCapacity> ring_;
  uint64_t first_ = 1;  // the oldest unread
  uint64_t last_ = 0;   // the newest
};

}  // namespace

void push_message(std::string text) {
  LogRing::instance().push(std::move(text));
}

}  // namespace reattn::capi

using namespace reattn::capi;

int32_t reattn_abi_version(void) {
  return REATTN_ABI_VERSION;
}

const char* reattn_version(void) {
  return REATTN_VERSION_STRING;
}

const char* reattn_status_name(reattn_status status) {
  switch (status) {
    case REATTN_OK:
      return "OK";
    case REATTN_END:
      return "END";
    case REATTN_TIMEOUT:
      return "TIMEOUT";
    case REATTN_E_ARG:
      return "E_ARG";
    case REATTN_E_HANDLE:
      return "E_HANDLE";
    case REATTN_E_BUSY:
      return "E_BUSY";
    case REATTN_E_CANCELLED:
      return "E_CANCELLED";
    case REATTN_E_NO_DEVICE:
      return "E_NO_DEVICE";
    case REATTN_E_DEVICE_LOST:
      return "E_DEVICE_LOST";
    case REATTN_E_OOM_HOST:
      return "E_OOM_HOST";
    case REATTN_E_OOM_DEVICE:
      return "E_OOM_DEVICE";
    case REATTN_E_FORMAT:
      return "E_FORMAT";
    case REATTN_E_MISMATCH:
      return "E_MISMATCH";
    case REATTN_E_BUFFER:
      return "E_BUFFER";
    case REATTN_E_UNSUPPORTED:
      return "E_UNSUPPORTED";
    case REATTN_E_INTERNAL:
      return "E_INTERNAL";
    case REATTN_E_IO:
      return "E_IO";
    default:
      return "UNKNOWN";
  }
}

reattn_status reattn_log_next(reattn_log_event* out_event, uint8_t* buf, uint64_t cap,
                              uint64_t* needed, reattn_error** err) {
  return guard(err, [&] {
    const StructOut event(out_event, "out_event");
    const Output buffer(buf, cap, needed, "buf");
    return LogRing::instance().next(event, buffer);
  });
}
