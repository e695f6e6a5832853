// Made-up weights, made where they are held.
#include <cuda_bf16.h>

#include <algorithm>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/ops.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void random_kernel(__nv_bfloat16* out, int64_t n, RandomArgs a) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) {
    out[i] = __float2bfloat16_rn(random_element(a, static_cast<uint64_t>(i)));
  }
}

}  // namespace

void fill_random(Context& ctx, const Matrix& to, const RandomArgs& a) {
  const int64_t n = to.n_rows * to.n_cols;
  if (n == 0) return;
  const int64_t n_blocks = std::min<int64_t>((n + kThreads - 1) / kThreads, 32 * ctx.n_sms);
  random_kernel<<<static_cast<unsigned>(n_blocks), kThreads, 0, ctx.stream>>>(
      static_cast<__nv_bfloat16*>(const_cast<void*>(to.data)), n, a);
  check_launch("random_kernel");
}

}  // namespace reattn::kernels::cuda
