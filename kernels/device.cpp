// What a device does unless it does it in its own way.
#include "reattn/kernels/device.hpp"

namespace reattn::kernels {

void Device::upload_weights(Stream& s, void* to_device, const void* from_host, DType file_type,
                            int64_t n_elements) {
  upload(s, to_device, from_host, static_cast<size_t>(row_bytes(file_type, n_elements)));
}

}  // namespace reattn::kernels
