// Asks the driver about a kernel that was compiled differently for sm_90a.
#include "kernels/cuda/device/loaded_code.hpp"

#include <cuda_runtime.h>

#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {
namespace {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr int kMostThreads = 64;
#else
constexpr int kMostThreads = 32;  // what the host sees too
#endif

__global__ void __launch_bounds__(kMostThreads) loaded_code_kernel() {}  // never launched

}  // namespace

bool sm90a_code_is_loaded() {
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, loaded_code_kernel), "cudaFuncGetAttributes");
  return attributes.maxThreadsPerBlock > kMostThreads;
}

}  // namespace reattn::kernels::cuda
