// Made-up weights, made where they are held.
#include <cuda_bf16.h>

#include <algorithm>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/f8.hpp"
#include "kernels/cuda/ops.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kPiece = 16 << 20;  // elements on their way to F8

// Elements [first, first + n).
__global__ void random_kernel(__nv_bfloat16* out, int64_t first, int64_t n, RandomArgs a) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) {
    out[i] = __float2bfloat16_rn(random_element(a, static_cast<uint64_t>(first + i)));
  }
}

void launch(Context& ctx, void* out, int64_t first, int64_t n, const RandomArgs& a) {
  const int64_t n_blocks = std::min<int64_t>((n + kThreads - 1) / kThreads, 32 * ctx.n_sms);
  random_kernel<<<static_cast<unsigned>(n_blocks), kThreads, 0, ctx.stream>>>(
      static_cast<__nv_bfloat16*>(out), first, n, a);
  check_launch("random_kernel");
}

}  // namespace

void fill_random(Context& ctx, const Matrix& to, const RandomArgs& a) {
  if (to.n_rows == 0 || to.n_cols == 0) return;
  if (to.dtype != DType::kF8) return launch(ctx, const_cast<void*>(to.data), 0, to.n_rows * to.n_cols, a);
  const int64_t n_most = std::clamp<int64_t>(kPiece / to.n_cols, 1, to.n_rows);
  ctx.scratch.begin(Scratch::padded(static_cast<size_t>(n_most * to.n_cols) * 2));
  void* piece = ctx.scratch.take<std::byte>(static_cast<size_t>(n_most * to.n_cols) * 2);
  for (int64_t row = 0; row < to.n_rows; row += n_most) {
    const int64_t n = std::min(n_most, to.n_rows - row);
    launch(ctx, piece, row * to.n_cols, n * to.n_cols, a);
    quantize_rows(ctx, {{piece, DType::kBF16, n, to.n_cols}, rows_of(to, row, n)});
  }
}

}  // namespace reattn::kernels::cuda
