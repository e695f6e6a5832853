// Embedding rows, RMSNorm, SwiGLU, GeGLU and rounding: each reads and writes memory once.
#include "kernels/cuda/linear/elementwise.hpp"

#include <algorithm>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/blocks.cuh"
#include "kernels/cuda/prim/early_launch.cuh"
#include "kernels/cuda/ops.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr int kBlock = 256;

bool aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

unsigned grid_for(const Context& ctx, int64_t n_items) {
  return static_cast<unsigned>(
      std::clamp<int64_t>((n_items + kBlock - 1) / kBlock, 1, int64_t{ctx.n_sms} * 16));
}

// Four neighbours as one access, of whatever type they are.
__device__ float4 load_four(const float* p) {
  return *reinterpret_cast<const float4*>(p);
}
__device__ void store_four(float* p, float4 v) {
  *reinterpret_cast<float4*>(p) = v;
}
__device__ void store_four(__nv_bfloat16* p, float4 v) {
  __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(v.x, v.y), __floats2bfloat162_rn(v.z, v.w)};
  *reinterpret_cast<uint2*>(p) = *reinterpret_cast<const uint2*>(pairs);
}
__device__ void store_four(__half* p, float4 v) {
  __half2 pairs[2] = {__floats2half2_rn(v.x, v.y), __floats2half2_rn(v.z, v.w)};
  *reinterpret_cast<uint2*>(p) = *reinterpret_cast<const uint2*>(pairs);
}
__device__ void store_one(float* p, float v) {
  *p = v;
}
__device__ void store_one(__nv_bfloat16* p, float v) {
  *p = __float2bfloat16_rn(v);
}
__device__ void store_one(__half* p, float v) {
  *p = __float2half_rn(v);
}

// A block to a row.
template <DType t>
__global__ void __launch_bounds__(kBlock)
    embed_kernel(const uint8_t* table, const int32_t* ids, int64_t n_cols, int64_t row_size,
                 bool vectors, float scale, float* out) {
  wait_for_previous();
  let_next_start();
  const uint8_t* row = table + max(ids[blockIdx.x], 0) * row_size;
  out += int64_t{blockIdx.x} * n_cols;
  for (int64_t i = threadIdx.x; 8 * i < n_cols; i += kBlock) {
    const int n = static_cast<int>(min(int64_t{8}, n_cols - 8 * i));
    float v[8] = {};
    load_eight<t>(row, i, n, v);
#pragma unroll
    for (float& element : v) element *= scale;
    float* to = out + 8 * i;
    if (n == 8 && vectors) {
      store_four(to, make_float4(v[0], v[1], v[2], v[3]));
      store_four(to + 4, make_float4(v[4], v[5], v[6], v[7]));
    } else {
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        if (j < n) to[j] = v[j];
      }
    }
  }
}

// The sum over the block, to all of it.
__device__ double block_sum(double v) {
  __shared__ double sums[kBlock / 32];
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, step);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = v;
  __syncthreads();
  double total = 0;
#pragma unroll
  for (int w = 0; w < kBlock / 32; ++w) total += sums[w];
  return total;
}

__device__ float norm_scale(double squares, int64_t n, float eps) {
  return static_cast<float>(1.0 /
                            sqrt(squares / static_cast<double>(n) + static_cast<double>(eps)));
}

// A block to a row, kept in registers: 4 * kFours elements a thread. Squares are summed as doubles:
// those of residual streams may be beyond a float.
template <int kFours, class Out>
__global__ void __launch_bounds__(kBlock)
    rms_norm_kernel(const float* x, const float* weight, int64_t n_cols, float eps, Out* out) {
  wait_for_previous();
  let_next_start();
  x += int64_t{blockIdx.x} * n_cols;
  out += int64_t{blockIdx.x} * n_cols;
  float4 v[kFours];
  double squares = 0;
#pragma unroll
  for (int f = 0; f < kFours; ++f) {
    const int64_t i = 4 * (threadIdx.x + int64_t{f} * kBlock);
    v[f] = i < n_cols ? load_four(x + i) : make_float4(0, 0, 0, 0);
  }
#pragma unroll
  for (int f = 0; f < kFours; ++f) {
    squares += static_cast<double>(v[f].x) * v[f].x;
    squares += static_cast<double>(v[f].y) * v[f].y;
    squares += static_cast<double>(v[f].z) * v[f].z;
    squares += static_cast<double>(v[f].w) * v[f].w;
  }
  const float scale = norm_scale(block_sum(squares), n_cols, eps);
#pragma unroll
  for (int f = 0; f < kFours; ++f) {
    const int64_t i = 4 * (threadIdx.x + int64_t{f} * kBlock);
    if (i >= n_cols) continue;
    const float4 w = load_four(weight + i);
    store_four(out + i, make_float4(v[f].x * scale * w.x, v[f].y * scale * w.y,
                                    v[f].z * scale * w.z, v[f].w * scale * w.w));
  }
}

// Rows of any length and alignment, read twice.
template <class Out>
__global__ void __launch_bounds__(kBlock)
    general_rms_norm_kernel(const float* x, const float* weight, int64_t n_cols, float eps,
                            Out* out) {
  wait_for_previous();
  let_next_start();
  x += int64_t{blockIdx.x} * n_cols;
  out += int64_t{blockIdx.x} * n_cols;
  double squares = 0;
  for (int64_t i = threadIdx.x; i < n_cols; i += kBlock)
    squares += static_cast<double>(x[i]) * x[i];
  const float scale = norm_scale(block_sum(squares), n_cols, eps);
  for (int64_t i = threadIdx.x; i < n_cols; i += kBlock)
    store_one(out + i, x[i] * scale * weight[i]);
}

// out += rms_norm(x), rows of any length and alignment.
__global__ void __launch_bounds__(kBlock)
    add_rms_norm_kernel(const float* x, const float* weight, int64_t n_cols, float eps, float* out) {
  wait_for_previous();
  let_next_start();
  x += int64_t{blockIdx.x} * n_cols;
  out += int64_t{blockIdx.x} * n_cols;
  double squares = 0;
  for (int64_t i = threadIdx.x; i < n_cols; i += kBlock)
    squares += static_cast<double>(x[i]) * x[i];
  const float scale = norm_scale(block_sum(squares), n_cols, eps);
  for (int64_t i = threadIdx.x; i < n_cols; i += kBlock) out[i] += x[i] * scale * weight[i];
}

template <class Out>
void launch_rms_norm(Context& ctx, const RmsNormArgs& a, Out* out) {
  if (a.n_rows == 0) return;
  const auto grid = static_cast<unsigned>(a.n_rows);
  const auto launch = [&](auto kernel) {
    launch_early(ctx, kernel, "rms_norm_kernel", dim3(grid), kBlock, 0, a.x, a.weight, a.n_cols,
                 a.eps, out);
  };
  const bool vectors = a.n_cols % 4 == 0 && aligned(a.x) && aligned(a.weight) && aligned(out);
  const int64_t fours = (a.n_cols + 4 * kBlock - 1) / (4 * kBlock);
  if (!vectors || fours > 16) {
    launch(general_rms_norm_kernel<Out>);
  } else if (fours <= 1) {
    launch(rms_norm_kernel<1, Out>);
  } else if (fours <= 2) {
    launch(rms_norm_kernel<2, Out>);
  } else if (fours <= 4) {
    launch(rms_norm_kernel<4, Out>);
  } else if (fours <= 8) {
    launch(rms_norm_kernel<8, Out>);
  } else {
    launch(rms_norm_kernel<16, Out>);
  }
}

__device__ float silu_times(float gate, float up) {
  return __fdividef(gate, 1.0F + expf(-gate)) * up;
}
__device__ float fast_silu_times(float gate, float up) {
  return __fdividef(gate, 1.0F + __expf(-gate)) * up;
}

__global__ void __launch_bounds__(kBlock)
    swiglu_kernel(const float* gate, const float* up, int64_t n, bool vectors, float* out) {
  wait_for_previous();
  let_next_start();
  const int64_t at = int64_t{blockIdx.x} * kBlock + threadIdx.x, step = int64_t{gridDim.x} * kBlock;
  const int64_t n_fours = vectors ? n / 4 : 0;
  for (int64_t i = at; i < n_fours; i += step) {
    const float4 g = load_four(gate + 4 * i), u = load_four(up + 4 * i);
    store_four(out + 4 * i, make_float4(silu_times(g.x, u.x), silu_times(g.y, u.y),
                                        silu_times(g.z, u.z), silu_times(g.w, u.w)));
  }
  for (int64_t i = 4 * n_fours + at; i < n; i += step) out[i] = silu_times(gate[i], up[i]);
}

__global__ void __launch_bounds__(kBlock)
    swiglu_bf16_kernel(const __nv_bfloat16* gate, const __nv_bfloat16* up, int64_t n,
                       __nv_bfloat16* out) {
  wait_for_previous();
  let_next_start();
  const int64_t at = int64_t{blockIdx.x} * kBlock + threadIdx.x, step = int64_t{gridDim.x} * kBlock;
  const int64_t n_eights = n / 8;
  for (int64_t i = at; i < n_eights; i += step) {
    const uint4 gates = *reinterpret_cast<const uint4*>(gate + 8 * i),
                ups = *reinterpret_cast<const uint4*>(up + 8 * i);
    const auto* g = reinterpret_cast<const __nv_bfloat162*>(&gates);
    const auto* u = reinterpret_cast<const __nv_bfloat162*>(&ups);
    uint4 results;
    auto* r = reinterpret_cast<__nv_bfloat162*>(&results);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      r[j] = __floats2bfloat162_rn(fast_silu_times(__low2float(g[j]), __low2float(u[j])),
                                   fast_silu_times(__high2float(g[j]), __high2float(u[j])));
    }
    *reinterpret_cast<uint4*>(out + 8 * i) = results;
  }
  for (int64_t i = 8 * n_eights + at; i < n; i += step) {
    out[i] =
        __float2bfloat16_rn(fast_silu_times(__bfloat162float(gate[i]), __bfloat162float(up[i])));
  }
}

__global__ void __launch_bounds__(kBlock)
    geglu_kernel(const float* gate, const float* up, int64_t n, float* out) {
  wait_for_previous();
  let_next_start();
  const int64_t step = int64_t{gridDim.x} * kBlock;
  for (int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x; i < n; i += step) {
    const float g = gate[i];
    const float power = -1.5957691216F * (g + 0.044715F * g * g * g);
    out[i] = g / (1.0F + expf(power)) * up[i];
  }
}

template <class Out>
__global__ void __launch_bounds__(kBlock)
    round_kernel(const float* x, int64_t n, bool vectors, Out* out) {
  wait_for_previous();
  let_next_start();
  const int64_t at = int64_t{blockIdx.x} * kBlock + threadIdx.x, step = int64_t{gridDim.x} * kBlock;
  const int64_t n_fours = vectors ? n / 4 : 0;
  for (int64_t i = at; i < n_fours; i += step) store_four(out + 4 * i, load_four(x + 4 * i));
  for (int64_t i = 4 * n_fours + at; i < n; i += step) store_one(out + i, x[i]);
}

}  // namespace

void embed(Context& ctx, const EmbedArgs& a) {
  const int64_t n_cols = a.table.n_cols;
  if (a.n_rows == 0) return;
  if (n_cols % dtype_info(a.table.dtype).block_elements != 0) {
    fail(ErrorCode::kArg, "embed: rows of ", n_cols, " are no multiple of ",
         dtype_info(a.table.dtype).name, "'s block");
  }
  with_dtype(a.table.dtype, [&](auto t) {
    launch_early(ctx, embed_kernel<decltype(t)::value>, "embed_kernel",
                 dim3(static_cast<unsigned>(a.n_rows)), kBlock, 0,
                 static_cast<const uint8_t*>(a.table.data), a.ids, n_cols,
                 row_bytes(a.table.dtype, n_cols), n_cols % 4 == 0 && aligned(a.out), a.scale, a.out);
  });
}

void rms_norm(Context& ctx, const RmsNormArgs& a) {
  if (a.accumulate) {
    if (a.n_rows == 0) return;
    launch_early(ctx, add_rms_norm_kernel, "add_rms_norm_kernel",
                 dim3(static_cast<unsigned>(a.n_rows)), kBlock, 0, a.x, a.weight, a.n_cols, a.eps,
                 a.out);
    return;
  }
  launch_rms_norm(ctx, a, a.out);
}

void rms_norm_to_bf16(Context& ctx, const RmsNormArgs& a, void* out) {
  launch_rms_norm(ctx, a, static_cast<__nv_bfloat16*>(out));
}

void swiglu(Context& ctx, const SwigluArgs& a) {
  if (a.n == 0) return;
  const bool vectors = aligned(a.gate) && aligned(a.up) && aligned(a.out);
  launch_early(ctx, swiglu_kernel, "swiglu_kernel", dim3(grid_for(ctx, (a.n + 3) / 4)), kBlock, 0,
               a.gate, a.up, a.n, vectors, a.out);
}

void geglu(Context& ctx, const SwigluArgs& a) {
  if (a.n == 0) return;
  launch_early(ctx, geglu_kernel, "geglu_kernel", dim3(grid_for(ctx, a.n)), kBlock, 0, a.gate, a.up,
               a.n, a.out);
}

void swiglu_bf16(Context& ctx, const void* gate, const void* up, int64_t n, void* out) {
  if (n == 0) return;
  if (!aligned(gate) || !aligned(up) || !aligned(out)) {
    fail(ErrorCode::kInternal, "swiglu_bf16: not aligned");
  }
  launch_early(ctx, swiglu_bf16_kernel, "swiglu_bf16_kernel", dim3(grid_for(ctx, (n + 7) / 8)),
               kBlock, 0, static_cast<const __nv_bfloat16*>(gate),
               static_cast<const __nv_bfloat16*>(up), n, static_cast<__nv_bfloat16*>(out));
}

void round_to_16_bits(Context& ctx, const float* x, int64_t n, DType dtype, void* out) {
  if (n == 0) return;
  const bool vectors = aligned(x) && aligned(out);
  const dim3 grid(grid_for(ctx, (n + 3) / 4));
  if (dtype == DType::kBF16) {
    launch_early(ctx, round_kernel<__nv_bfloat16>, "round_kernel", grid, kBlock, 0, x, n, vectors,
                 static_cast<__nv_bfloat16*>(out));
  } else {
    launch_early(ctx, round_kernel<__half>, "round_kernel", grid, kBlock, 0, x, n, vectors,
                 static_cast<__half*>(out));
  }
}

}  // namespace reattn::kernels::cuda
