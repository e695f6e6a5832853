// Rows to E4M3, a block to a row: the largest number of a row becomes 448. And back.
#include "kernels/cuda/linear/f8.hpp"

#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <algorithm>
#include <cfloat>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/blocks.cuh"
#include "kernels/cuda/prim/early_launch.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int kBlock = 256;
constexpr int kWarps = kBlock / 32;
constexpr float kMost = 448;

struct Scale {
  float scale, inverse;
  __device__ explicit Scale(float most) : scale(most / kMost), inverse(1) {
    if (scale >= FLT_MIN) {
      inverse = kMost / most;
    } else {
      scale = 1;
    }
  }
};

__device__ uint8_t to_f8(float v) {
  return __nv_cvt_float_to_fp8(v, __NV_SATFINITE, __NV_E4M3);
}
__device__ uint32_t four_to_f8(float4 v, float by) {
  const uint32_t low =
      __nv_cvt_float2_to_fp8x2(make_float2(v.x * by, v.y * by), __NV_SATFINITE, __NV_E4M3);
  const uint32_t high =
      __nv_cvt_float2_to_fp8x2(make_float2(v.z * by, v.w * by), __NV_SATFINITE, __NV_E4M3);
  return low | high << 16;
}

// To all of the block. `store` is used again only after a barrier.
template <class T, class Join>
__device__ T block_reduce(T v, T* store, Join join) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v = join(v, __shfl_xor_sync(0xFFFFFFFFu, v, step));
  if (threadIdx.x % 32 == 0) store[threadIdx.x / 32] = v;
  __syncthreads();
  T total = store[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) total = join(total, store[w]);
  return total;
}
__device__ float block_max(float v) {
  __shared__ float store[kWarps];
  return block_reduce(v, store, [](float a, float b) { return fmaxf(a, b); });
}
__device__ double block_sum(double v) {
  __shared__ double store[kWarps];
  return block_reduce(v, store, [](double a, double b) { return a + b; });
}

__device__ float largest(float most, float4 v) {
  return fmaxf(fmaxf(most, fmaxf(fabsf(v.x), fabsf(v.y))), fmaxf(fabsf(v.z), fabsf(v.w)));
}

// Where a row comes from: four neighbours of it at a time, and what happens to them once the row is there.
struct Plain {
  static constexpr bool kNorm = false;
  const float* x;
  __device__ float4 load(int64_t row, int64_t n_cols, int64_t i) const {
    return *reinterpret_cast<const float4*>(x + row * n_cols + i);
  }
  __device__ float4 finish(float4 v, int64_t, float) const { return v; }
};
struct Norm {
  static constexpr bool kNorm = true;
  const float* x;
  const float* weight;  // [n_cols]
  float eps;
  __device__ float4 load(int64_t row, int64_t n_cols, int64_t i) const {
    return *reinterpret_cast<const float4*>(x + row * n_cols + i);
  }
  __device__ float4 finish(float4 v, int64_t i, float scale) const {
    const float4 w = *reinterpret_cast<const float4*>(weight + i);
    return make_float4(v.x * scale * w.x, v.y * scale * w.y, v.z * scale * w.z, v.w * scale * w.w);
  }
};
__device__ float silu_times(float gate, float up) {
  return __fdividef(gate, 1.0F + __expf(-gate)) * up;
}
struct Swiglu {
  static constexpr bool kNorm = false;
  const __nv_bfloat16* gate;
  const __nv_bfloat16* up;
  __device__ float4 load(int64_t row, int64_t n_cols, int64_t i) const {
    const uint2 gates = *reinterpret_cast<const uint2*>(gate + row * n_cols + i),
                ups = *reinterpret_cast<const uint2*>(up + row * n_cols + i);
    const auto* g = reinterpret_cast<const __nv_bfloat162*>(&gates);
    const auto* u = reinterpret_cast<const __nv_bfloat162*>(&ups);
    return make_float4(silu_times(__low2float(g[0]), __low2float(u[0])),
                       silu_times(__high2float(g[0]), __high2float(u[0])),
                       silu_times(__low2float(g[1]), __low2float(u[1])),
                       silu_times(__high2float(g[1]), __high2float(u[1])));
  }
  __device__ float4 finish(float4 v, int64_t, float) const { return v; }
};

__device__ double squares_of(double sum, float4 v) {
  sum += static_cast<double>(v.x) * v.x;
  sum += static_cast<double>(v.y) * v.y;
  sum += static_cast<double>(v.z) * v.z;
  return sum + static_cast<double>(v.w) * v.w;
}
template <class Source>
__device__ float norm_scale(const Source& from, double squares, int64_t n_cols) {
  if constexpr (Source::kNorm) {
    return static_cast<float>(1.0 / sqrt(block_sum(squares) / static_cast<double>(n_cols) +
                                         static_cast<double>(from.eps)));
  } else {
    return 1;
  }
}

// The row stays in registers: 4 * kFours elements a thread.
template <class Source, int kFours>
__global__ void __launch_bounds__(kBlock)
    rows_to_f8_kernel(const __grid_constant__ Source from, int64_t n_cols, F8Rows out) {
  wait_for_previous();
  let_next_start();
  const int64_t row = blockIdx.x;
  float4 v[kFours];
#pragma unroll
  for (int f = 0; f < kFours; ++f) {
    const int64_t i = 4 * (threadIdx.x + int64_t{f} * kBlock);
    v[f] = i < n_cols ? from.load(row, n_cols, i) : make_float4(0, 0, 0, 0);
  }
  double squares = 0;
  if constexpr (Source::kNorm) {
#pragma unroll
    for (int f = 0; f < kFours; ++f) squares = squares_of(squares, v[f]);
  }
  const float by = norm_scale(from, squares, n_cols);
  float most = 0;
#pragma unroll
  for (int f = 0; f < kFours; ++f) {
    const int64_t i = 4 * (threadIdx.x + int64_t{f} * kBlock);
    if (i < n_cols) v[f] = from.finish(v[f], i, by);
    most = largest(most, v[f]);
  }
  const Scale s(block_max(most));
#pragma unroll
  for (int f = 0; f < kFours; ++f) {
    const int64_t i = 4 * (threadIdx.x + int64_t{f} * kBlock);
    if (i < n_cols) {
      *reinterpret_cast<uint32_t*>(out.data + row * n_cols + i) = four_to_f8(v[f], s.inverse);
    }
  }
  if (threadIdx.x == 0) out.scales[row] = s.scale;
}

// Longer rows, loaded anew for each pass.
template <class Source>
__global__ void __launch_bounds__(kBlock)
    long_rows_to_f8_kernel(const __grid_constant__ Source from, int64_t n_cols, F8Rows out) {
  wait_for_previous();
  let_next_start();
  const int64_t row = blockIdx.x, begin = 4 * int64_t{threadIdx.x}, step = 4 * kBlock;
  double squares = 0;
  if constexpr (Source::kNorm) {
    for (int64_t i = begin; i < n_cols; i += step) {
      squares = squares_of(squares, from.load(row, n_cols, i));
    }
  }
  const float by = norm_scale(from, squares, n_cols);
  float most = 0;
  for (int64_t i = begin; i < n_cols; i += step) {
    most = largest(most, from.finish(from.load(row, n_cols, i), i, by));
  }
  const Scale s(block_max(most));
  for (int64_t i = begin; i < n_cols; i += step) {
    *reinterpret_cast<uint32_t*>(out.data + row * n_cols + i) =
        four_to_f8(from.finish(from.load(row, n_cols, i), i, by), s.inverse);
  }
  if (threadIdx.x == 0) out.scales[row] = s.scale;
}

template <class Source>
void launch(Context& ctx, const Source& from, int64_t n_rows, int64_t n_cols, const F8Rows& out) {
  if (n_rows == 0) return;
  const auto run = [&](auto kernel) {
    launch_early(ctx, kernel, "rows_to_f8_kernel", dim3(static_cast<unsigned>(n_rows)), kBlock, 0,
                 from, n_cols, out);
  };
  const int64_t fours = (n_cols + 4 * kBlock - 1) / (4 * kBlock);
  if (fours <= 1) {
    run(rows_to_f8_kernel<Source, 1>);
  } else if (fours <= 2) {
    run(rows_to_f8_kernel<Source, 2>);
  } else if (fours <= 4) {
    run(rows_to_f8_kernel<Source, 4>);
  } else if (fours <= 8) {
    run(rows_to_f8_kernel<Source, 8>);
  } else if (fours <= 14) {
    run(rows_to_f8_kernel<Source, 14>);
  } else {
    run(long_rows_to_f8_kernel<Source>);
  }
}

// Weights of a file, at any alignment.
template <DType t>
__global__ void __launch_bounds__(kBlock)
    quantize_rows_kernel(const uint8_t* from, int64_t row_size, int64_t n_cols, F8Rows out) {
  const int64_t row = blockIdx.x;
  from += row * row_size;
  uint8_t* to = out.data + row * n_cols;
  float most = 0;
  for (int64_t i = threadIdx.x; 8 * i < n_cols; i += kBlock) {
    float v[8] = {};
    load_eight<t>(from, i, static_cast<int>(min(int64_t{8}, n_cols - 8 * i)), v);
#pragma unroll
    for (int j = 0; j < 8; ++j) most = fmaxf(most, fabsf(v[j]));
  }
  const Scale s(block_max(most));
  for (int64_t i = threadIdx.x; 8 * i < n_cols; i += kBlock) {
    const int n = static_cast<int>(min(int64_t{8}, n_cols - 8 * i));
    float v[8] = {};
    load_eight<t>(from, i, n, v);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (j < n) to[8 * i + j] = to_f8(v[j] * s.inverse);
    }
  }
  if (threadIdx.x == 0) out.scales[row] = s.scale;
}

// Products start to read weights while the kernel before them ends: that must not be the one that wrote them.
__global__ void settle_kernel() {}

__global__ void __launch_bounds__(kBlock)
    expand_f8_kernel(const uint8_t* data, const float* scales, int64_t n_cols, __nv_bfloat16* out) {
  const int64_t row = blockIdx.x;
  const float scale = scales[row];
  data += row * n_cols;
  out += row * n_cols;
  for (int64_t i = threadIdx.x; i < n_cols; i += kBlock) {
    const __half_raw half = __nv_cvt_fp8_to_halfraw(data[i], __NV_E4M3);
    out[i] = __float2bfloat16_rn(__half2float(__half(half)) * scale);
  }
}

}  // namespace

void quantize_rows(Context& ctx, const QuantizeRowsArgs& a) {
  const int64_t n_rows = a.from.n_rows, n_cols = a.from.n_cols;
  if (n_rows == 0) return;
  if (n_rows < 0 || n_rows > INT32_MAX || n_cols < 1 || a.to.n_rows != n_rows ||
      a.to.n_cols != n_cols || a.to.dtype != DType::kF8 ||
      n_cols % dtype_info(a.from.dtype).block_elements != 0) {
    fail(ErrorCode::kArg, "quantize_rows: ", n_rows, " x ", n_cols, " of ",
         dtype_info(a.from.dtype).name, " to ", a.to.n_rows, " x ", a.to.n_cols, " of ",
         dtype_info(a.to.dtype).name);
  }
  with_dtype(a.from.dtype, [&](auto t) {
    quantize_rows_kernel<decltype(t)::value>
        <<<static_cast<unsigned>(n_rows), kBlock, 0, ctx.stream>>>(
            static_cast<const uint8_t*>(a.from.data), row_bytes(a.from.dtype, n_cols), n_cols,
            {static_cast<uint8_t*>(const_cast<void*>(a.to.data)), const_cast<float*>(a.to.scales)});
  });
  check_launch("quantize_rows_kernel");
  settle_kernel<<<1, 1, 0, ctx.stream>>>();
  check_launch("settle_kernel");
}

void expand_f8(Context& ctx, const Matrix& w, void* out) {
  expand_f8_kernel<<<static_cast<unsigned>(w.n_rows), kBlock, 0, ctx.stream>>>(
      static_cast<const uint8_t*>(w.data), w.scales, w.n_cols, static_cast<__nv_bfloat16*>(out));
  check_launch("expand_f8_kernel");
}

void rows_to_f8(Context& ctx, const float* x, int64_t n_rows, int64_t n_cols, const F8Rows& out) {
  launch(ctx, Plain{x}, n_rows, n_cols, out);
}

void rms_norm_to_f8(Context& ctx, const RmsNormArgs& a, const F8Rows& out) {
  launch(ctx, Norm{a.x, a.weight, a.eps}, a.n_rows, a.n_cols, out);
}

void swiglu_to_f8(Context& ctx, const void* gate, const void* up, int64_t n_rows, int64_t n_cols,
                  const F8Rows& out) {
  launch(ctx,
         Swiglu{static_cast<const __nv_bfloat16*>(gate), static_cast<const __nv_bfloat16*>(up)},
         n_rows, n_cols, out);
}

}  // namespace reattn::kernels::cuda
