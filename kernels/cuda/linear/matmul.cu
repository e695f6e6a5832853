// Matrix products: few rows by the own kernel, many by cuBLASLt on 16-bit numbers.
#include "kernels/cuda/linear/elementwise.hpp"
#include "kernels/cuda/linear/f8.hpp"
#include "kernels/cuda/linear/gemv.hpp"
#include "kernels/cuda/linear/lt.hpp"
#include "kernels/cuda/ops.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {
namespace {

void check_shape(const MatmulArgs& a) {
  if (a.n_rows < 0 || a.w.n_rows < 1 || a.w.n_cols < 1) {
    fail(ErrorCode::kArg, "matmul: ", a.n_rows, " rows times a matrix of ", a.w.n_rows, " x ",
         a.w.n_cols);
  }
}

// False where cuBLASLt has no algorithm for it.
bool lt_matmul(Context& ctx, const MatmulArgs& a) {
  const int64_t n_in = a.w.n_cols;
  const bool rounded = a.w.dtype != DType::kF32;
  const size_t x_bytes = rounded ? Scratch::padded(static_cast<size_t>(a.n_rows * n_in) * 2) : 0;
  ctx.scratch.begin(x_bytes + Lt::kWorkspaceBytes);
  const cudaDataType_t type = a.w.dtype == DType::kF32   ? CUDA_R_32F
                              : a.w.dtype == DType::kF16 ? CUDA_R_16F
                                                         : CUDA_R_16BF;
  Gemm g{a.x, a.w.data, a.out, a.n_rows, a.w.n_rows, n_in, type, CUDA_R_32F, a.bias, a.accumulate};
  if (rounded) {
    void* x = ctx.scratch.take<std::byte>(x_bytes);
    round_to_16_bits(ctx, a.x, a.n_rows * n_in, a.w.dtype, x);
    g.x = x;
  }
  return ctx.lt.gemm(ctx.stream, g, ctx.scratch.take<std::byte>(Lt::kWorkspaceBytes));
}

}  // namespace

void matmul(Context& ctx, const MatmulArgs& a) {
  check_shape(a);
  if (a.n_rows == 0) return;
  const bool plain = dtype_info(a.w.dtype).block_elements == 1;
  if (a.w.dtype == DType::kF8 && (a.n_rows > kMaxGemvRows || !gemv_knows(a.w) ||
                                  reinterpret_cast<uintptr_t>(a.x) % 16 != 0)) {
    matmul_f8(ctx, a);
  } else if (a.n_rows > kMaxGemvRows) {
    if (!plain || !lt_matmul(ctx, a)) general_matmul(ctx, a);
  } else if (gemv_knows(a.w) && reinterpret_cast<uintptr_t>(a.x) % 16 == 0) {
    gemv(ctx, {.x = a.x,
               .n_rows = a.n_rows,
               .n_in = a.w.n_cols,
               .outputs = {{a.w, a.bias, a.out}},
               .n_outputs = 1,
               .accumulate = a.accumulate});
  } else {
    general_matmul(ctx, a);
  }
}

}  // namespace reattn::kernels::cuda
