// Programmatic dependent launch: a kernel starts while the one before it ends, and waits before it touches what that one writes.
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {

// Everything enqueued before is done and visible. Before it a kernel may only read weights. They
// are written while a model is made: by expand_to_bf16 and quantize_rows, which see to it, and by fill_random, after
// which ids are uploaded before anything is multiplied.
__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The next kernel may start where there is room. After wait_for_previous(), so that it never runs
// beside the one before this.
__device__ inline void let_next_start() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// For kernels that wait_for_previous().
template <class... Params, class... Args>
void launch_early(const Context& ctx, void (*kernel)(Params...), const char* name, dim3 grid,
                  int block, size_t shared_bytes, Args&&... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(block));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = ctx.stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = ctx.has_sm90a ? 1 : 0;  // the PTX that runs elsewhere does not wait
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Args>(args)...), name);
}

}  // namespace reattn::kernels::cuda
