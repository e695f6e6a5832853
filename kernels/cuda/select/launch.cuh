// Launches that overlap the end of the kernel before them. A kernel launched so calls wait_for_previous() before it touches memory;
// one that calls start_next() lets the next begin to wait.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {

__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ inline void start_next() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Only where the kernels above are in use: elsewhere nothing waits.
template <class... Params>
void launch_early(const Context& ctx, const char* name, void (*kernel)(Params...), dim3 grid, int32_t n_threads,
                  size_t shared_bytes, const Params&... params) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(n_threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = ctx.stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = ctx.has_sm90a ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, params...), name);
}

}  // namespace reattn::kernels::cuda
