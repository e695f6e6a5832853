// Weights as they lie in a file, to BF16: a thread to 8 elements.
#include "kernels/cuda/linear/expand_blocks.hpp"

#include <algorithm>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/blocks.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int kBlock = 256;

template <DType t>
__global__ void __launch_bounds__(kBlock)
    expand_kernel(const uint8_t* blocks, int64_t n_elements, __nv_bfloat16* out) {
  const int64_t n_eights = (n_elements + 7) / 8;
  for (int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x; i < n_eights;
       i += int64_t{gridDim.x} * kBlock) {
    const int n = static_cast<int>(min(int64_t{8}, n_elements - 8 * i));
    float v[8] = {};
    load_eight<t>(blocks, i, n, v);
    __align__(16) __nv_bfloat16 rounded[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) rounded[j] = __float2bfloat16_rn(v[j]);
    if (n == 8) {
      *reinterpret_cast<uint4*>(out + 8 * i) = *reinterpret_cast<const uint4*>(rounded);
    } else {
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        if (j < n) out[8 * i + j] = rounded[j];
      }
    }
  }
}

// Products start to read weights while the kernel before them ends: that must not be the one that
// wrote them.
__global__ void settle_kernel() {}

}  // namespace

void expand_to_bf16(Context& ctx, DType file_type, const void* blocks, int64_t n_elements,
                    void* out) {
  if (n_elements == 0) return;
  const DTypeInfo info = dtype_info(file_type);
  if (n_elements < 0 || n_elements % info.block_elements != 0) {
    fail(ErrorCode::kArg, "expand_to_bf16: ", n_elements, " elements are no multiple of ",
         info.name, "'s block of ", info.block_elements);
  }
  if (reinterpret_cast<uintptr_t>(blocks) % 2 != 0 || reinterpret_cast<uintptr_t>(out) % 16 != 0) {
    fail(ErrorCode::kArg,
         "expand_to_bf16: blocks must be 2-byte aligned, the output 16-byte aligned");
  }
  const int64_t n_blocks = ((n_elements + 7) / 8 + kBlock - 1) / kBlock;
  const auto grid = static_cast<unsigned>(std::min<int64_t>(n_blocks, int64_t{ctx.n_sms} * 32));
  with_dtype(file_type, [&](auto t) {
    expand_kernel<decltype(t)::value><<<grid, kBlock, 0, ctx.stream>>>(
        static_cast<const uint8_t*>(blocks), n_elements, static_cast<__nv_bfloat16*>(out));
  });
  check_launch("expand_kernel");
  settle_kernel<<<1, 1, 0, ctx.stream>>>();
  check_launch("settle_kernel");
}

}  // namespace reattn::kernels::cuda
