#include "kernels/cuda/device/driver.hpp"

#include <cuda_runtime_api.h>

#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr unsigned kVersion = 12000;  // of every entry point below

template <class F>
void find(F*& to, const char* name) {
  void* at = nullptr;
  cudaDriverEntryPointQueryResult found{};
  const cudaError_t result =
      cudaGetDriverEntryPointByVersion(name, &at, kVersion, cudaEnableDefault, &found);
  if (result != cudaSuccess || found != cudaDriverEntryPointSuccess || at == nullptr) {
    fail(ErrorCode::kNoDevice, "CUDA: the driver has no ", name,
         "; a driver for CUDA 13 is needed");
  }
  to = reinterpret_cast<F*>(at);
}

Driver find_all() {
  Driver d{};
  find(d.error_string, "cuGetErrorString");
  find(d.mem_granularity, "cuMemGetAllocationGranularity");
  find(d.mem_reserve, "cuMemAddressReserve");
  find(d.mem_free_reserved, "cuMemAddressFree");
  find(d.mem_create, "cuMemCreate");
  find(d.mem_release, "cuMemRelease");
  find(d.mem_map, "cuMemMap");
  find(d.mem_unmap, "cuMemUnmap");
  find(d.mem_set_access, "cuMemSetAccess");
  find(d.encode_tiled, "cuTensorMapEncodeTiled");
  return d;
}

}  // namespace

const Driver& driver() {
  static const Driver all = find_all();
  return all;
}

int32_t device_count() {
  int version = 0, n = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0) {
    fail(ErrorCode::kNoDevice, "CUDA: no driver was found (libcuda.so.1)");
  }
  const cudaError_t result = cudaGetDeviceCount(&n);
  if (result == cudaErrorInsufficientDriver) {
    fail(ErrorCode::kNoDevice, "CUDA: the driver is for CUDA ", version / 1000, ".",
         version % 1000 / 10, ", this build needs CUDA ", CUDART_VERSION / 1000, ".",
         CUDART_VERSION % 1000 / 10);
  }
  if (result == cudaErrorNoDevice || (result == cudaSuccess && n == 0)) {
    fail(ErrorCode::kNoDevice, "CUDA: the driver sees no device");
  }
  if (result != cudaSuccess) {
    fail(ErrorCode::kNoDevice, "CUDA: ", cudaGetErrorString(result));
  }
  return n;
}

}  // namespace reattn::kernels::cuda
