// Products of many rows with F8 weights: x becomes F8 too, row by row, and cuBLASLt multiplies at twice the rate of BF16. Where it
// does not know how (another architecture, odd shapes), the weights are expanded to BF16 first.
#include <cuda_bf16.h>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/elementwise.hpp"
#include "kernels/cuda/linear/f8.hpp"
#include "kernels/cuda/linear/gemv.hpp"
#include "kernels/cuda/linear/lt.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr int kBlock = 256;

bool aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

__global__ void __launch_bounds__(kBlock)
    add_bias_kernel(float* out, const float* bias, int64_t n_out) {
  out += int64_t{blockIdx.x} * n_out;
  for (int64_t i = threadIdx.x; i < n_out; i += kBlock) out[i] += bias[i];
}

// False where cuBLASLt has no algorithm. out: [n_rows, w.n_rows] of out_type; a bias with F32 only.
bool product(Context& ctx, const F8Rows& x, int64_t n_rows, const Matrix& w, void* out,
             cudaDataType_t out_type, const float* bias, bool accumulate, void* workspace) {
  Gemm g{x.data,   w.data,         out,      n_rows,  w.n_rows,
         w.n_cols, CUDA_R_8F_E4M3, out_type, nullptr, accumulate};
  g.x_scales = x.scales;
  g.w_scales = w.scales;
  if (!ctx.lt.gemm(ctx.stream, g, workspace)) return false;
  if (bias != nullptr) {  // of cuBLASLt it would have to be BF16
    add_bias_kernel<<<static_cast<unsigned>(n_rows), kBlock, 0, ctx.stream>>>(
        static_cast<float*>(out), bias, w.n_rows);
    check_launch("add_bias_kernel");
  }
  return true;
}

void* begin_workspace(Context& ctx) {
  ctx.scratch.begin(Lt::kWorkspaceBytes);
  return ctx.scratch.take<std::byte>(Lt::kWorkspaceBytes);
}

// [n_rows, n_cols] in memory that begins at `at`: the scales lie behind the elements.
F8Rows rows_at(void* at, int64_t n_rows, int64_t n_cols) {
  auto* data = static_cast<uint8_t*>(at);
  return {data, reinterpret_cast<float*>(data + n_rows * n_cols)};
}

bool direct_matmul(Context& ctx, const MatmulArgs& a) {
  const int64_t n_in = a.w.n_cols;
  if (n_in % 16 != 0 || !aligned(a.x)) return false;
  const size_t x_bytes = Scratch::padded(static_cast<size_t>(a.n_rows * (n_in + 4)));
  ctx.scratch.begin(x_bytes + Lt::kWorkspaceBytes);
  const F8Rows x = rows_at(ctx.scratch.take<std::byte>(x_bytes), a.n_rows, n_in);
  rows_to_f8(ctx, a.x, a.n_rows, n_in, x);
  return product(ctx, x, a.n_rows, a.w, a.out, CUDA_R_32F, a.bias, a.accumulate,
                 ctx.scratch.take<std::byte>(Lt::kWorkspaceBytes));
}

void expanded_matmul(Context& ctx, const MatmulArgs& a) {
  const int64_t n_in = a.w.n_cols;
  const size_t w_bytes = Scratch::padded(static_cast<size_t>(a.w.n_rows * n_in) * 2),
               x_bytes = Scratch::padded(static_cast<size_t>(a.n_rows * n_in) * 2);
  ctx.scratch.begin(w_bytes + x_bytes + Lt::kWorkspaceBytes);
  void* w = ctx.scratch.take<std::byte>(w_bytes);
  expand_f8(ctx, a.w, w);
  MatmulArgs plain = a;
  plain.w = {w, DType::kBF16, a.w.n_rows, n_in};
  if (a.n_rows > kMaxGemvRows) {
    void* x = ctx.scratch.take<std::byte>(x_bytes);
    round_to_16_bits(ctx, a.x, a.n_rows * n_in, DType::kBF16, x);
    if (ctx.lt.gemm(ctx.stream,
                    {x, w, a.out, a.n_rows, a.w.n_rows, n_in, CUDA_R_16BF, CUDA_R_32F, a.bias,
                     a.accumulate},
                    ctx.scratch.take<std::byte>(Lt::kWorkspaceBytes))) {
      return;
    }
  }
  general_matmul(ctx, plain);
}

}  // namespace

void matmul_f8(Context& ctx, const MatmulArgs& a) {
  if (a.n_rows > kMaxGemvRows && direct_matmul(ctx, a)) return;
  expanded_matmul(ctx, a);
}

bool many_rows_qkv_f8(Context& ctx, const QkvArgs& a) {
  void* workspace = begin_workspace(ctx);
  const F8Rows x = rows_at(a.normed, a.n_rows, a.n_embd);
  rms_norm_to_f8(ctx, {a.x, a.norm, a.n_rows, a.n_embd, a.eps, nullptr}, x);
  const auto one = [&](const Matrix& w, const float* bias, float* out) {
    return product(ctx, x, a.n_rows, w, out, CUDA_R_32F, bias, false, workspace);
  };
  return one(a.q, a.q_bias, a.q_out) && one(a.k, a.k_bias, a.k_out) && one(a.v, a.v_bias, a.v_out);
}

bool many_rows_mlp_f8(Context& ctx, const MlpArgs& a) {
  void* workspace = begin_workspace(ctx);
  const F8Rows x = rows_at(a.normed, a.n_rows, a.n_embd);
  rms_norm_to_f8(ctx, {a.x, a.norm, a.n_rows, a.n_embd, a.eps, nullptr}, x);
  if (!product(ctx, x, a.n_rows, a.gate, a.gate_out, CUDA_R_16BF, nullptr, false, workspace) ||
      !product(ctx, x, a.n_rows, a.up, a.up_out, CUDA_R_16BF, nullptr, false, workspace)) {
    return false;
  }
  // The gate took half of its memory.
  const F8Rows h =
      rows_at(reinterpret_cast<__nv_bfloat16*>(a.gate_out) + a.n_rows * a.n_ff, a.n_rows, a.n_ff);
  swiglu_to_f8(ctx, a.gate_out, a.up_out, a.n_rows, a.n_ff, h);
  return product(ctx, h, a.n_rows, a.down, a.x, CUDA_R_32F, nullptr, true, workspace);
}

}  // namespace reattn::kernels::cuda
