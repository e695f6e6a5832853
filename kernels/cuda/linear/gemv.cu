// Products of up to 8 rows. A block takes 16 outputs, its warps take turns along the rows of
// weights; the tensor cores multiply each weight with the 8 columns x may have. f32 x is the sum of
// two bf16 numbers, so that it keeps 16 bits.
#include "kernels/cuda/linear/gemv.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/pdl.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kTile = 16;  // outputs of a block: the rows of one mma
constexpr int kLaneStep =
    8;  // elements of a 16-byte load; a quad of lanes takes 32 neighbours of a row
constexpr int kUnroll = 4;  // loads of a lane and row in flight
constexpr int kWarpStep =
    4 * kLaneStep * kUnroll;  // elements of a row that a warp takes at a time: 256 bytes
constexpr int kColumns = 8;

struct Part {
  const __nv_bfloat16* w;  // [n_out, n_in]
  const float* bias;
  float* out;  // [n_rows, n_out]
  int32_t n_out;
  int32_t first_tile;
};
struct Params {
  Part parts[3];
  const float* x;     // [n_rows, n_in]
  const float* norm;  // [n_in]
  int32_t n_rows, n_in;
  float eps;
  bool accumulate;
};

__device__ uint4 load_weights(const __nv_bfloat16* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

__device__ void prefetch(const void* p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

__device__ void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                    uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Two floats as two pairs of bf16: what rounding leaves is in the second.
__device__ void split(float x0, float x1, uint32_t& high, uint32_t& low) {
  const __nv_bfloat162 h = __floats2bfloat162_rn(x0, x1);
  const __nv_bfloat162 l = __floats2bfloat162_rn(x0 - __low2float(h), x1 - __high2float(h));
  high = *reinterpret_cast<const uint32_t*>(&h);
  low = *reinterpret_cast<const uint32_t*>(&l);
}

// What the warps of a block have summed up.
struct Sums {
  float products[kWarps][kColumns][kTile + 1];
  float squares[kWarps][kColumns];
};

// Dot products of 16 rows of weights with all rows of x, each warp's share in `sums`; the order of
// sums is that of the elements.
template <bool kNorm>
__device__ void multiply(const Params& a, const __nv_bfloat16* low_row,
                         const __nv_bfloat16* high_row, Sums& sums) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int column = lane / 4, at = lane % 4 * kLaneStep;
  for (int k = warp * kWarpStep + at; k < a.n_in && k < (warp + 1) * kWarpStep;
       k += 4 * kLaneStep) {
    prefetch(low_row + k);
    prefetch(high_row + k);
  }
  wait_for_previous();
  let_next_start();

  const bool has_x = column < a.n_rows;
  const float* x = a.x + static_cast<int64_t>(has_x ? column : 0) * a.n_in;
  float c_high[4] = {}, c_low[4] = {};
  float squares = 0;
  for (int begin = warp * kWarpStep + at; begin - at < a.n_in; begin += kWarps * kWarpStep) {
    uint4 w_low[kUnroll], w_high[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int k = begin + u * 4 * kLaneStep;
      w_low[u] = w_high[u] = make_uint4(0, 0, 0, 0);
      if (k < a.n_in) {
        w_low[u] = load_weights(low_row + k);
        w_high[u] = load_weights(high_row + k);
      }
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int k = begin + u * 4 * kLaneStep;
      float4 x0 = make_float4(0, 0, 0, 0), x1 = x0;
      if (has_x && k < a.n_in) {
        x0 = *reinterpret_cast<const float4*>(x + k);
        x1 = *reinterpret_cast<const float4*>(x + k + 4);
        if constexpr (kNorm) {
          squares += x0.x * x0.x + x0.y * x0.y + x0.z * x0.z + x0.w * x0.w;
          squares += x1.x * x1.x + x1.y * x1.y + x1.z * x1.z + x1.w * x1.w;
          const float4 n0 = *reinterpret_cast<const float4*>(a.norm + k);
          const float4 n1 = *reinterpret_cast<const float4*>(a.norm + k + 4);
          x0 = make_float4(x0.x * n0.x, x0.y * n0.y, x0.z * n0.z, x0.w * n0.w);
          x1 = make_float4(x1.x * n1.x, x1.y * n1.y, x1.z * n1.z, x1.w * n1.w);
        }
      }
      // Which element of a step is which k of the mma does not matter, so long as w and x agree.
      uint32_t high[4], low[4];
      split(x0.x, x0.y, high[0], low[0]);
      split(x0.z, x0.w, high[1], low[1]);
      split(x1.x, x1.y, high[2], low[2]);
      split(x1.z, x1.w, high[3], low[3]);
      mma(c_high, w_low[u].x, w_high[u].x, w_low[u].y, w_high[u].y, high[0], high[1]);
      mma(c_low, w_low[u].x, w_high[u].x, w_low[u].y, w_high[u].y, low[0], low[1]);
      mma(c_high, w_low[u].z, w_high[u].z, w_low[u].w, w_high[u].w, high[2], high[3]);
      mma(c_low, w_low[u].z, w_high[u].z, w_low[u].w, w_high[u].w, low[2], low[3]);
    }
  }

  const int row = lane / 4, first = lane % 4 * 2;  // of the mma's result
  sums.products[warp][first][row] = c_high[0] + c_low[0];
  sums.products[warp][first + 1][row] = c_high[1] + c_low[1];
  sums.products[warp][first][row + 8] = c_high[2] + c_low[2];
  sums.products[warp][first + 1][row + 8] = c_high[3] + c_low[3];
  if constexpr (kNorm) {
    squares += __shfl_xor_sync(0xFFFFFFFFu, squares, 1);
    squares += __shfl_xor_sync(0xFFFFFFFFu, squares, 2);
    if (lane % 4 == 0) sums.squares[warp][column] = squares;
  }
  __syncthreads();
}

__device__ float total(const Sums& s, int column, int row) {
  float sum = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) sum += s.products[w][column][row];
  return sum;
}

template <bool kNorm>
__device__ float norm_scale(const Params& a, const Sums& s, int column) {
  if constexpr (!kNorm) return 1.0F;
  float sum = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) sum += s.squares[w][column];
  return 1.0F / sqrtf(sum / static_cast<float>(a.n_in) + a.eps);
}

template <bool kNorm>
__global__ void __launch_bounds__(kWarps * 32, 2) gemv_kernel(const __grid_constant__ Params a) {
  __shared__ Sums sums;
  const int tile = static_cast<int>(blockIdx.x);
  const Part& p = tile >= a.parts[2].first_tile   ? a.parts[2]
                  : tile >= a.parts[1].first_tile ? a.parts[1]
                                                  : a.parts[0];
  const int first = (tile - p.first_tile) * kTile;
  const int lane_row = first + threadIdx.x % 32 / 4;
  const __nv_bfloat16* low_row = p.w + static_cast<int64_t>(min(lane_row, p.n_out - 1)) * a.n_in;
  const __nv_bfloat16* high_row =
      p.w + static_cast<int64_t>(min(lane_row + 8, p.n_out - 1)) * a.n_in;
  multiply<kNorm>(a, low_row, high_row, sums);

  const int column = threadIdx.x / kTile, row = threadIdx.x % kTile, output = first + row;
  if (column >= a.n_rows || output >= p.n_out) return;
  float v = total(sums, column, row) * norm_scale<kNorm>(a, sums, column);
  if (p.bias != nullptr) v += p.bias[output];
  float* out = p.out + static_cast<int64_t>(column) * p.n_out + output;
  *out = a.accumulate ? *out + v : v;
}

// Rows 0 to 7 of the mma are the gate's, rows 8 to 15 up's.
template <bool kNorm>
__global__ void __launch_bounds__(kWarps * 32, 2)
    gemv_swiglu_kernel(const __grid_constant__ Params a) {
  __shared__ Sums sums;
  const int n_out = a.parts[0].n_out, first = static_cast<int>(blockIdx.x) * 8;
  const int64_t lane_row = min(first + static_cast<int>(threadIdx.x) % 32 / 4, n_out - 1);
  multiply<kNorm>(a, a.parts[0].w + lane_row * a.n_in, a.parts[1].w + lane_row * a.n_in, sums);

  const int column = threadIdx.x / 8, row = threadIdx.x % 8, output = first + row;
  if (column >= a.n_rows || output >= n_out) return;
  const float scale = norm_scale<kNorm>(a, sums, column);
  const float gate = total(sums, column, row) * scale, up = total(sums, column, row + 8) * scale;
  a.parts[0].out[static_cast<int64_t>(column) * n_out + output] = gate / (1.0F + expf(-gate)) * up;
}

Params params(const Gemv& g) {
  Params p{};
  p.x = g.x;
  p.norm = g.norm;
  p.n_rows = static_cast<int32_t>(g.n_rows);
  p.n_in = static_cast<int32_t>(g.n_in);
  p.eps = g.eps;
  p.accumulate = g.accumulate;
  return p;
}

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

bool gemv_knows(const Matrix& w) {
  return w.dtype == DType::kBF16 && w.n_cols % kLaneStep == 0 &&
         reinterpret_cast<uintptr_t>(w.data) % 16 == 0 && w.n_rows < INT32_MAX / 2 &&
         w.n_cols < INT32_MAX / 2;
}

void gemv(Context& ctx, const Gemv& g) {
  Params p = params(g);
  int32_t n_tiles = 0;
  for (int i = 0; i < 3; ++i) {
    Part& part = p.parts[i];
    if (i >= g.n_outputs) {
      part.first_tile = INT32_MAX;
      continue;
    }
    const GemvOutput& o = g.outputs[i];
    part = {static_cast<const __nv_bfloat16*>(o.w.data), o.bias, o.out,
            static_cast<int32_t>(o.w.n_rows), n_tiles};
    n_tiles += static_cast<int32_t>((o.w.n_rows + kTile - 1) / kTile);
  }
  launch_early(ctx, g.norm != nullptr ? gemv_kernel<true> : gemv_kernel<false>, "gemv_kernel",
               dim3(static_cast<unsigned>(n_tiles)), kWarps * 32, p);
}

void gemv_swiglu(Context& ctx, const Gemv& g) {
  Params p = params(g);
  for (int i = 0; i < 2; ++i) {
    const GemvOutput& o = g.outputs[i];
    p.parts[i] = {static_cast<const __nv_bfloat16*>(o.w.data), nullptr, o.out,
                  static_cast<int32_t>(o.w.n_rows), 0};
  }
  const auto n_tiles = static_cast<unsigned>((g.outputs[0].w.n_rows + 7) / 8);
  launch_early(ctx, g.norm != nullptr ? gemv_swiglu_kernel<true> : gemv_swiglu_kernel<false>,
               "gemv_swiglu_kernel", dim3(n_tiles), kWarps * 32, p);
}

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
