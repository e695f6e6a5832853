// CUDA's results as errors of this library.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {

// Throws: kOomDevice for memory, kDeviceLost for what only a new process cures, else kInternal.
void check(cudaError_t result, const char* what);
void check(CUresult result, const char* what);
// After a launch.
inline void check_launch(const char* kernel) {
  check(cudaGetLastError(), kernel);
}

}  // namespace reattn::kernels::cuda
