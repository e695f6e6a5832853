// Products of any plain type, length, alignment and number of rows: right, not fast.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/gemv.hpp"

namespace reattn::kernels::cuda {
namespace {

__device__ float to_float(float v) {
  return v;
}
__device__ float to_float(__half v) {
  return __half2float(v);
}
__device__ float to_float(__nv_bfloat16 v) {
  return __bfloat162float(v);
}

// A warp to each output, 8 rows of x at a time.
template <class T>
__global__ void __launch_bounds__(256)
    general_matmul_kernel(const float* x, const T* w, const float* bias, float* out, int64_t n_rows,
                          int64_t n_out, int64_t n_in, bool accumulate) {
  const int lane = threadIdx.x % 32;
  const int64_t output = int64_t{blockIdx.x} * 8 + threadIdx.x / 32;
  if (output >= n_out) return;
  for (int64_t first = int64_t{blockIdx.y} * 8; first < n_rows; first += int64_t{gridDim.y} * 8) {
    const int n = static_cast<int>(min(int64_t{8}, n_rows - first));
    float sums[8] = {};
    for (int64_t k = lane; k < n_in; k += 32) {
      const float weight = to_float(w[output * n_in + k]);
#pragma unroll
      for (int r = 0; r < 8; ++r) {
        if (r < n) sums[r] = fmaf(weight, x[(first + r) * n_in + k], sums[r]);
      }
    }
#pragma unroll
    for (int r = 0; r < 8; ++r) {
      for (int step = 16; step > 0; step /= 2)
        sums[r] += __shfl_xor_sync(0xFFFFFFFFu, sums[r], step);
      if (r >= n || lane != 0) continue;
      const float v = sums[r] + (bias == nullptr ? 0.0F : bias[output]);
      float& to = out[(first + r) * n_out + output];
      to = accumulate ? to + v : v;
    }
  }
}

}  // namespace

void general_matmul(Context& ctx, const MatmulArgs& a) {
  const int64_t n_out = a.w.n_rows;
  const dim3 grid(static_cast<unsigned>((n_out + 7) / 8),
                  static_cast<unsigned>(min((a.n_rows + 7) / 8, int64_t{65535})));
  const auto launch = [&](auto* w) {
    general_matmul_kernel<<<grid, 256, 0, ctx.stream>>>(a.x, w, a.bias, a.out, a.n_rows, n_out,
                                                        a.w.n_cols, a.accumulate);
  };
  switch (a.w.dtype) {
    case DType::kF32:
      launch(static_cast<const float*>(a.w.data));
      break;
    case DType::kF16:
      launch(static_cast<const __half*>(a.w.data));
      break;
    case DType::kBF16:
      launch(static_cast<const __nv_bfloat16*>(a.w.data));
      break;
    default:
      fail(ErrorCode::kUnsupported, "matmul: on the GPU weights are BF16, F16 or F32, not ",
           dtype_info(a.w.dtype).name);
  }
  check_launch("general_matmul_kernel");
}

}  // namespace reattn::kernels::cuda
