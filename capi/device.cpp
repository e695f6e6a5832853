// What models can run on.
#include <algorithm>
#include <cstring>
#include <string_view>

#include "capi/backend.hpp"
#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "reattn/kernels/device.hpp"
#include "reattn/reattn.h"

namespace reattn::capi {
namespace {

// CUDA devices that can be used; 0 where there is no plug-in or no driver, which reattn_backend_diagnose explains.
int32_t n_cuda_devices() {
  try {
    return backend()->n_devices();
  } catch (const Error&) {
    return 0;
  }
}

// Zero-ended; cut before a character that does not fit whole.
template <size_t N>
void copy_name(char (&out)[N], std::string_view text) {
  size_t n = std::min(text.size(), N - 1);
  if (n < text.size()) {
    while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;
  }
  std::memcpy(out, text.data(), n);
  std::memset(out + n, 0, N - n);
}

}  // namespace
}  // namespace reattn::capi

using namespace reattn;
using namespace reattn::capi;

reattn_status reattn_device_count(int32_t* out_count, reattn_error** err) {
  return guard(err, [&] {
    require(out_count, "out_count");
    *out_count = 1 + n_cuda_devices();
    return REATTN_OK;
  });
}

reattn_status reattn_device_get_info(int32_t index, reattn_device_info* out_info,
                                     reattn_error** err) {
  return guard(err, [&] {
    const StructOut out(out_info, "out_info");
    const int32_t n = 1 + n_cuda_devices();
    if (index < 0 || index >= n) {
      fail(ErrorCode::kArg, "device index ", index, " is not in 0 ... ", n - 1);
    }
    const kernels::DeviceInfo info =
        index == 0 ? kernels::make_cpu_device(0)->info() : backend()->info(index - 1);
    reattn_device_info value{};
    value.kind = index == 0 ? REATTN_DEVICE_CPU : REATTN_DEVICE_CUDA;
    value.memory_total = static_cast<uint64_t>(std::max<int64_t>(info.memory_total, 0));
    value.memory_free = static_cast<uint64_t>(std::max<int64_t>(info.memory_free, 0));
    value.n_threads = info.n_threads;
    value.index = index;
    copy_name(value.name, info.name);
    copy_name(value.instructions, info.instructions);
    out.write(value);
    return REATTN_OK;
  });
}
