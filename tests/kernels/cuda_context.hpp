// The CUDA operations without the device around them: their own stream, memory and library.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/lt.hpp"

namespace reattn::kernels {

// Where there is a device. finish() waits for what was enqueued; what the fixture's arrays were
// given has to be waited for too.
struct OwnContext {
  OwnContext() : memory(0), scratch(memory) {
    cudaDeviceProp p{};
    cuda::check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
    cuda::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    n_sms = p.multiProcessorCount;
    capability = 10 * p.major + p.minor;
  }
  ~OwnContext() {
    cudaDeviceSynchronize();
    cudaStreamDestroy(stream);
  }
  OwnContext(const OwnContext&) = delete;
  OwnContext& operator=(const OwnContext&) = delete;

  static void finish() { cuda::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

  cuda::Memory memory;
  cuda::Scratch scratch;
  cuda::Lt lt;
  cudaStream_t stream = nullptr;
  int32_t n_sms = 0, capability = 0;
  cuda::Context context() {
    return {stream, scratch, memory, lt, n_sms, capability, capability == 90};
  }
};

}  // namespace reattn::kernels
