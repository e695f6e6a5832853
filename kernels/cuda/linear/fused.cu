// The two linear parts of a layer. Few rows: a launch for q, k and v, one for gate and up with
// SwiGLU, one for down. Many rows: what passes from one product to the next is BF16, rounded by
// whoever wrote it.
#include "kernels/cuda/linear/elementwise.hpp"
#include "kernels/cuda/linear/f8.hpp"
#include "kernels/cuda/linear/gemv.hpp"
#include "kernels/cuda/linear/lt.hpp"
#include "kernels/cuda/ops.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {
namespace {

bool aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

void check_matrix(const char* op, const char* name, const Matrix& w, int64_t n_rows,
                  int64_t n_cols) {
  if (w.n_rows != n_rows || w.n_cols != n_cols) {
    fail(ErrorCode::kArg, op, ": ", name, " is ", w.n_rows, " x ", w.n_cols, ", not ", n_rows,
         " x ", n_cols);
  }
}

// Products of one BF16 x in memory, out either F32 or BF16.
class Products {
 public:
  Products(Context& ctx, int64_t n_rows) : ctx_(ctx), n_rows_(n_rows) {
    ctx.scratch.begin(Lt::kWorkspaceBytes);
    workspace_ = ctx.scratch.take<std::byte>(Lt::kWorkspaceBytes);
  }
  bool one(const void* x, const Matrix& w, void* out, cudaDataType_t out_type,
           const float* bias = nullptr, bool accumulate = false) {
    return ctx_.lt.gemm(
        ctx_.stream,
        {x, w.data, out, n_rows_, w.n_rows, w.n_cols, CUDA_R_16BF, out_type, bias, accumulate},
        workspace_);
  }
  // Two matrices of one shape as one launch where they and the outputs lie in the same order in
  // memory, which is what fills the device when there are few rows.
  bool two(const void* x, const Matrix& a, void* a_out, const Matrix& b, void* b_out,
           cudaDataType_t out_type) {
    const int64_t out_size = out_type == CUDA_R_32F ? 4 : 2;
    const int64_t w_bytes = distance(a.data, b.data), out_bytes = distance(a_out, b_out);
    if (w_bytes < 0 && out_bytes < 0) return two(x, b, b_out, a, a_out, out_type);
    if (w_bytes > 0 && out_bytes > 0 && w_bytes % 16 == 0 && out_bytes % 16 == 0) {
      Gemm g{x, a.data, a_out, n_rows_, a.n_rows, a.n_cols, CUDA_R_16BF, out_type};
      g.n_batch = 2;
      g.w_stride = w_bytes / 2;
      g.out_stride = out_bytes / out_size;
      if (ctx_.lt.gemm(ctx_.stream, g, workspace_)) return true;
    }
    return one(x, a, a_out, out_type) && one(x, b, b_out, out_type);
  }

 private:
  static int64_t distance(const void* a, const void* b) {
    return static_cast<int64_t>(reinterpret_cast<intptr_t>(b) - reinterpret_cast<intptr_t>(a));
  }
  Context& ctx_;
  int64_t n_rows_;
  void* workspace_;
};

bool many_rows_qkv(Context& ctx, const QkvArgs& a) {
  if (a.q.dtype == DType::kF8) return many_rows_qkv_f8(ctx, a);
  rms_norm_to_bf16(ctx, {a.x, a.norm, a.n_rows, a.n_embd, a.eps, nullptr}, a.normed);
  Products p(ctx, a.n_rows);
  if (!p.one(a.normed, a.q, a.q_out, CUDA_R_32F, a.q_bias)) return false;
  if (a.k_bias == nullptr && a.v_bias == nullptr && a.k.n_rows == a.v.n_rows) {
    return p.two(a.normed, a.k, a.k_out, a.v, a.v_out, CUDA_R_32F);
  }
  return p.one(a.normed, a.k, a.k_out, CUDA_R_32F, a.k_bias) &&
         p.one(a.normed, a.v, a.v_out, CUDA_R_32F, a.v_bias);
}

bool many_rows_mlp(Context& ctx, const MlpArgs& a) {
  if (a.gate.dtype == DType::kF8) return many_rows_mlp_f8(ctx, a);
  rms_norm_to_bf16(ctx, {a.x, a.norm, a.n_rows, a.n_embd, a.eps, nullptr}, a.normed);
  Products p(ctx, a.n_rows);
  if (!p.two(a.normed, a.gate, a.gate_out, a.up, a.up_out, CUDA_R_16BF)) return false;
  swiglu_bf16(ctx, a.gate_out, a.up_out, a.n_rows * a.n_ff, a.gate_out);
  return p.one(a.gate_out, a.down, a.x, CUDA_R_32F, nullptr, true);
}

}  // namespace

void qkv(Context& ctx, const QkvArgs& a) {
  check_matrix("qkv", "q", a.q, a.q.n_rows, a.n_embd);
  check_matrix("qkv", "k", a.k, a.k.n_rows, a.n_embd);
  check_matrix("qkv", "v", a.v, a.v.n_rows, a.n_embd);
  if (a.n_rows == 0) return;
  const bool known = gemv_knows(a.q) && gemv_knows(a.k) && gemv_knows(a.v) &&
                     a.k.dtype == a.q.dtype && a.v.dtype == a.q.dtype && aligned(a.x) &&
                     aligned(a.norm) && aligned(a.normed);
  if (known && a.n_rows <= kMaxGemvRows) {
    gemv(ctx,
         {.x = a.x,
          .norm = a.norm,
          .eps = a.eps,
          .n_rows = a.n_rows,
          .n_in = a.n_embd,
          .outputs = {{a.q, a.q_bias, a.q_out}, {a.k, a.k_bias, a.k_out}, {a.v, a.v_bias, a.v_out}},
          .n_outputs = 3});
    return;
  }
  if (known && a.n_rows > kMaxGemvRows && many_rows_qkv(ctx, a)) return;
  rms_norm(ctx, {a.x, a.norm, a.n_rows, a.n_embd, a.eps, a.normed});
  matmul(ctx, {a.normed, a.n_rows, a.q, a.q_bias, a.q_out, false});
  matmul(ctx, {a.normed, a.n_rows, a.k, a.k_bias, a.k_out, false});
  matmul(ctx, {a.normed, a.n_rows, a.v, a.v_bias, a.v_out, false});
}

void mlp(Context& ctx, const MlpArgs& a) {
  check_matrix("mlp", "gate", a.gate, a.n_ff, a.n_embd);
  check_matrix("mlp", "up", a.up, a.n_ff, a.n_embd);
  check_matrix("mlp", "down", a.down, a.n_embd, a.n_ff);
  if (a.n_rows == 0) return;
  const bool plain = a.activation == Activation::kSilu && a.post_norm == nullptr;
  const bool known = plain && gemv_knows(a.gate) && gemv_knows(a.up) && gemv_knows(a.down) &&
                     a.up.dtype == a.gate.dtype && a.down.dtype == a.gate.dtype && aligned(a.x) &&
                     aligned(a.norm) && aligned(a.normed) && aligned(a.gate_out) &&
                     aligned(a.up_out);
  if (known && a.n_rows <= kMaxGemvRows) {
    gemv_swiglu(ctx, {.x = a.x,
                      .norm = a.norm,
                      .eps = a.eps,
                      .n_rows = a.n_rows,
                      .n_in = a.n_embd,
                      .outputs = {{a.gate, nullptr, a.gate_out}, {a.up, nullptr, nullptr}},
                      .n_outputs = 2});
    gemv(ctx, {.x = a.gate_out,
               .n_rows = a.n_rows,
               .n_in = a.n_ff,
               .outputs = {{a.down, nullptr, a.x}},
               .n_outputs = 1,
               .accumulate = true});
    return;
  }
  if (known && a.n_rows > kMaxGemvRows && many_rows_mlp(ctx, a)) return;
  rms_norm(ctx, {a.x, a.norm, a.n_rows, a.n_embd, a.eps, a.normed});
  matmul(ctx, {a.normed, a.n_rows, a.gate, nullptr, a.gate_out, false});
  matmul(ctx, {a.normed, a.n_rows, a.up, nullptr, a.up_out, false});
  const SwigluArgs glu{a.gate_out, a.up_out, a.n_rows * a.n_ff, a.gate_out};
  if (a.activation == Activation::kGelu) {
    geglu(ctx, glu);
  } else {
    swiglu(ctx, glu);
  }
  if (a.post_norm == nullptr) {
    matmul(ctx, {a.gate_out, a.n_rows, a.down, nullptr, a.x, true});
    return;
  }
  matmul(ctx, {a.gate_out, a.n_rows, a.down, nullptr, a.normed, false});
  rms_norm(ctx, {a.normed, a.post_norm, a.n_rows, a.n_embd, a.eps, a.x, true});
}

}  // namespace reattn::kernels::cuda
