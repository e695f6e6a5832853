// Error objects, and how exceptions become them.
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include "capi/guard.hpp"
#include "capi/handles.hpp"

namespace reattn::capi {
namespace {

constexpr bool same(ErrorCode code, reattn_status status) {
  return static_cast<int32_t>(code) == status;
}
static_assert(same(ErrorCode::kArg, REATTN_E_ARG) && same(ErrorCode::kHandle, REATTN_E_HANDLE) &&
              same(ErrorCode::kBusy, REATTN_E_BUSY) &&
              same(ErrorCode::kCancelled, REATTN_E_CANCELLED) &&
              same(ErrorCode::kNoDevice, REATTN_E_NO_DEVICE) &&
              same(ErrorCode::kDeviceLost, REATTN_E_DEVICE_LOST) &&
              same(ErrorCode::kOomHost, REATTN_E_OOM_HOST) &&
              same(ErrorCode::kOomDevice, REATTN_E_OOM_DEVICE) &&
              same(ErrorCode::kFormat, REATTN_E_FORMAT) &&
              same(ErrorCode::kMismatch, REATTN_E_MISMATCH) &&
              same(ErrorCode::kBuffer, REATTN_E_BUFFER) &&
              same(ErrorCode::kUnsupported, REATTN_E_UNSUPPORTED) &&
              same(ErrorCode::kInternal, REATTN_E_INTERNAL) && same(ErrorCode::kIo, REATTN_E_IO));

struct ErrorObject {
  static constexpr Kind kKind = Kind::kError;
  using Handle = reattn_error;

  reattn_status code;
  std::string message;
};

// Stands for "no memory for an error object": its address is no handle, so that freeing it does
// nothing.
constexpr char kOutOfMemory[] = "host memory is exhausted";

reattn_error* out_of_memory() {
  return reinterpret_cast<reattn_error*>(reinterpret_cast<uintptr_t>(kOutOfMemory));
}

reattn_status report(reattn_error** err, reattn_status code, const char* message) noexcept {
  if (!err) return code;
  try {
    *err = publish(std::make_shared<ErrorObject>(ErrorObject{code, message}));
    return code;
  } catch (...) {
    *err = out_of_memory();
    return REATTN_E_OOM_HOST;
  }
}

}  // namespace

reattn_status report_current_exception(reattn_error** err) noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return report(err, static_cast<reattn_status>(e.code()), e.what());
  } catch (const std::bad_alloc&) {
    return report(err, REATTN_E_OOM_HOST, kOutOfMemory);
  } catch (const std::length_error&) {  // a container asked for more than an address space
    return report(err, REATTN_E_OOM_HOST, kOutOfMemory);
  } catch (const std::system_error& e) {  // a thread that could not be started
    return report(err, REATTN_E_OOM_HOST, e.what());
  } catch (const std::exception& e) {
    return report(err, REATTN_E_INTERNAL, e.what());
  } catch (...) {
    return report(err, REATTN_E_INTERNAL, "an exception of unknown type");
  }
}

}  // namespace reattn::capi

using reattn::capi::ErrorObject;

reattn_status reattn_error_code(const reattn_error* error) {
  if (error == reattn::capi::out_of_memory()) return REATTN_E_OOM_HOST;
  const auto object = reattn::capi::HandleTable::instance().find(reinterpret_cast<uintptr_t>(error),
                                                                 ErrorObject::kKind);
  return object ? static_cast<const ErrorObject*>(object.get())->code : REATTN_E_HANDLE;
}

const char* reattn_error_message(const reattn_error* error) {
  if (error == reattn::capi::out_of_memory()) return reattn::capi::kOutOfMemory;
  const auto object = reattn::capi::HandleTable::instance().find(reinterpret_cast<uintptr_t>(error),
                                                                 ErrorObject::kKind);
  return object ? static_cast<const ErrorObject*>(object.get())->message.c_str()
                : "'error' is not a live error handle";
}

void reattn_error_free(reattn_error* error) {
  reattn::capi::retire<ErrorObject>(error);
}
