// Products of up to 8 rows: the choice of the kernel, and the one for several rows.
#include "kernels/cuda/linear/gemv.hpp"

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/gemv_f8.hpp"
#include "kernels/cuda/linear/gemv_parts.cuh"
#include "kernels/cuda/linear/gemv_row.hpp"
#include "kernels/cuda/prim/early_launch.cuh"

namespace reattn::kernels::cuda {
namespace {

using namespace gemv_parts;  // NOLINT: this file is one of its parts

__device__ uint4 load_weights(const __nv_bfloat16* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

__device__ void prefetch(const void* p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

template <bool kNorm, bool kGateUp>
__global__ void __launch_bounds__(kThreads, 2) gemv_kernel(const __grid_constant__ Params a) {
  __shared__ float sums[kWarps * kColumns * kSumsRow];
  __shared__ float squares[kWarps * kColumns];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int column = lane / 4, at = lane % 4 * 8;
  const int tile = static_cast<int>(blockIdx.x);
  constexpr int kTurn = kUnroll * kStep;
  const __nv_bfloat16 *low_row, *high_row;
  find_rows<kGateUp>(a, tile, low_row, high_row);
  if (tile < a.n_first) {  // later blocks would only be in the way of those before
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int k = warp * kTurn + u * kStep + at;
      if (k >= a.n_in) break;
      prefetch(low_row + k);
      prefetch(high_row + k);
    }
  }
  wait_for_previous();
  let_next_start();

  // Columns beyond the rows of x multiply the first row: nobody reads them.
  const float* x = a.x + static_cast<int64_t>(column < a.n_rows ? column : 0) * a.n_in;
  Accumulator sum;
  float lane_squares = 0;
  for (int begin = warp * kTurn; begin < a.n_in; begin += kWarps * kTurn) {
    uint4 w_low[kUnroll], w_high[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int k = begin + u * kStep + at;
      w_low[u] = w_high[u] = make_uint4(0, 0, 0, 0);
      if (k < a.n_in) {
        w_low[u] = load_weights(low_row + k);
        w_high[u] = load_weights(high_row + k);
      }
    }
    Eight parts[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int k = begin + u * kStep + at;
      parts[u] = Eight(x + k, k < a.n_in);
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if constexpr (kNorm) {
        const int k = begin + u * kStep + at;
        lane_squares = parts[u].squares(lane_squares);
        parts[u].multiply(Eight(a.norm + k, k < a.n_in));
      }
      uint4 high, low;
      parts[u].split_into(high, low);
      sum.add(w_low[u], w_high[u], high, low);
    }
  }
  sum.store(sums, kColumns);
  if constexpr (kNorm) store_squares(lane_squares, squares, kColumns);
  __syncthreads();
  finish_tile<kNorm, kGateUp>(a, tile, sums, squares, kColumns);
}

template <bool kGateUp>
void launch(Context& ctx, Params& p, const Gemv& g) {
  p.x = g.x;
  p.norm = g.norm;
  p.n_rows = static_cast<int32_t>(g.n_rows);
  p.n_in = static_cast<int32_t>(g.n_in);
  p.eps = g.eps;
  p.accumulate = g.accumulate;
  p.n_first = 2 * ctx.n_sms;
  if (g.outputs[0].w.dtype == DType::kF8) return launch_gemv_f8(ctx, p, kGateUp);
  if (g.n_rows == 1 && launch_gemv_row(ctx, p, kGateUp)) return;
  launch_early(ctx, g.norm != nullptr ? gemv_kernel<true, kGateUp> : gemv_kernel<false, kGateUp>,
               "gemv_kernel", dim3(static_cast<unsigned>(p.n_tiles)), kThreads, 0, p);
}

}  // namespace

bool gemv_knows(const Matrix& w) {
  return (w.dtype == DType::kBF16 ? w.n_cols % 8 == 0
                                  : w.dtype == DType::kF8 && w.n_cols % 16 == 0) &&
         reinterpret_cast<uintptr_t>(w.data) % 16 == 0 && w.n_rows < INT32_MAX / 4 &&
         w.n_cols < INT32_MAX / 4;
}

void gemv(Context& ctx, const Gemv& g) {
  Params p{};
  for (int i = 0; i < 3; ++i) {
    Part& part = p.parts[i];
    if (i >= g.n_outputs) {
      part.first_tile = part.first_row = INT32_MAX;
      continue;
    }
    const GemvOutput& o = g.outputs[i];
    part = {static_cast<const __nv_bfloat16*>(o.w.data),
            o.bias,
            o.out,
            static_cast<int32_t>(o.w.n_rows),
            p.n_tiles,
            p.n_units,
            o.w.scales};
    p.n_units += static_cast<int32_t>(o.w.n_rows);
    p.n_tiles += static_cast<int32_t>((o.w.n_rows + kTile - 1) / kTile);
  }
  launch<false>(ctx, p, g);
}

void gemv_swiglu(Context& ctx, const Gemv& g) {
  Params p{};
  for (int i = 0; i < 2; ++i) {
    const GemvOutput& o = g.outputs[i];
    p.parts[i] = {static_cast<const __nv_bfloat16*>(o.w.data),
                  nullptr,
                  o.out,
                  static_cast<int32_t>(o.w.n_rows),
                  0,
                  0,
                  o.w.scales};
  }
  p.n_units = static_cast<int32_t>(g.outputs[0].w.n_rows);
  p.n_tiles = static_cast<int32_t>((g.outputs[0].w.n_rows + 7) / 8);
  launch<true>(ctx, p, g);
}

}  // namespace reattn::kernels::cuda
