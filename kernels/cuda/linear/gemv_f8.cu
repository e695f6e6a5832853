// Products of 2 to 8 rows with F8 weights: as gemv.cu does it with BF16.
#include "kernels/cuda/linear/gemv_f8.hpp"

#include "kernels/cuda/linear/gemv_f8.cuh"
#include "kernels/cuda/linear/pdl.cuh"

namespace reattn::kernels::cuda {
namespace {

using namespace gemv_parts;  // NOLINT: this file is one of its parts

constexpr int kF8Step = 64;   // elements of a row that a quad of lanes loads, 16 bytes each
constexpr int kF8Unroll = 2;  // steps of a warp's turn

__device__ uint4 load_weights(const uint8_t* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}
__device__ void prefetch(const void* p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

// Where a lane finds its two rows of a tile's weights, 8 apart: of one part, or of gate and up.
template <bool kGateUp>
__device__ void find_f8_rows(const Params& a, int tile, const uint8_t*& low, const uint8_t*& high) {
  const int lane_row = static_cast<int>(threadIdx.x) % 32 / 4;
  const auto row_of = [&](const Part& p, int row) {
    return reinterpret_cast<const uint8_t*>(p.w) +
           static_cast<int64_t>(min(row, p.n_out - 1)) * a.n_in;
  };
  if constexpr (kGateUp) {
    low = row_of(a.parts[0], tile * 8 + lane_row);
    high = row_of(a.parts[1], tile * 8 + lane_row);
  } else {
    const Part& p = tile >= a.parts[2].first_tile   ? a.parts[2]
                    : tile >= a.parts[1].first_tile ? a.parts[1]
                                                    : a.parts[0];
    const int row = (tile - p.first_tile) * kTile + lane_row;
    low = row_of(p, row);
    high = row_of(p, row + 8);
  }
}

// Four neighbours of two rows of weights, and of a column of x in two parts.
__device__ void add_four(Accumulator& sum, uint32_t w_low, uint32_t w_high, uint32_t x_high_even,
                         uint32_t x_high_odd, uint32_t x_low_even, uint32_t x_low_odd) {
  uint32_t low_even, low_odd, high_even, high_odd;
  unpack_f8(w_low, low_even, low_odd);
  unpack_f8(w_high, high_even, high_odd);
  mma(sum.high, low_even, high_even, low_odd, high_odd, x_high_even, x_high_odd);
  mma(sum.low, low_even, high_even, low_odd, high_odd, x_low_even, x_low_odd);
}

template <bool kNorm, bool kGateUp>
__global__ void __launch_bounds__(kThreads, 2) gemv_f8_kernel(const __grid_constant__ Params a) {
  __shared__ float sums[kWarps * kColumns * kSumsRow];
  __shared__ float squares[kWarps * kColumns];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int column = lane / 4, at = lane % 4 * 16;
  const int tile = static_cast<int>(blockIdx.x);
  constexpr int kTurn = kF8Unroll * kF8Step;
  const uint8_t *low_row, *high_row;
  find_f8_rows<kGateUp>(a, tile, low_row, high_row);
  if (tile < a.n_first) {  // later blocks would only be in the way of those before
#pragma unroll
    for (int u = 0; u < kF8Unroll; ++u) {
      const int k = warp * kTurn + u * kF8Step + at;
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
    uint4 w_low[kF8Unroll], w_high[kF8Unroll];
#pragma unroll
    for (int u = 0; u < kF8Unroll; ++u) {
      const int k = begin + u * kF8Step + at;
      w_low[u] = w_high[u] = make_uint4(0, 0, 0, 0);
      if (k < a.n_in) {
        w_low[u] = load_weights(low_row + k);
        w_high[u] = load_weights(high_row + k);
      }
    }
    Eight parts[kF8Unroll][2];
#pragma unroll
    for (int u = 0; u < kF8Unroll; ++u) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int k = begin + u * kF8Step + at + half * 8;
        parts[u][half] = Eight(x + k, k < a.n_in);
      }
    }
#pragma unroll
    for (int u = 0; u < kF8Unroll; ++u) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if constexpr (kNorm) {
          const int k = begin + u * kF8Step + at + half * 8;
          lane_squares = parts[u][half].squares(lane_squares);
          parts[u][half].multiply(Eight(a.norm + k, k < a.n_in));
        }
        uint4 high, low;
        split_for_f8(parts[u][half], high, low);
        const uint32_t first_low = half == 0 ? w_low[u].x : w_low[u].z,
                       first_high = half == 0 ? w_high[u].x : w_high[u].z,
                       second_low = half == 0 ? w_low[u].y : w_low[u].w,
                       second_high = half == 0 ? w_high[u].y : w_high[u].w;
        add_four(sum, first_low, first_high, high.x, high.y, low.x, low.y);
        add_four(sum, second_low, second_high, high.z, high.w, low.z, low.w);
      }
    }
  }
  sum.store(sums, kColumns);
  if constexpr (kNorm) store_squares(lane_squares, squares, kColumns);
  __syncthreads();
  finish_tile<kNorm, kGateUp, true>(a, tile, sums, squares, kColumns);
}

template <bool kGateUp>
void launch(Context& ctx, const Params& p) {
  launch_early(ctx,
               p.norm != nullptr ? gemv_f8_kernel<true, kGateUp> : gemv_f8_kernel<false, kGateUp>,
               "gemv_f8_kernel", dim3(static_cast<unsigned>(p.n_tiles)), kThreads, 0, p);
}

}  // namespace

void launch_gemv_f8(Context& ctx, const Params& p, bool gate_up) {
  if (p.n_rows == 1 && launch_gemv_row_f8(ctx, p, gate_up)) return;
  if (gate_up) {
    launch<true>(ctx, p);
  } else {
    launch<false>(ctx, p);
  }
}

}  // namespace reattn::kernels::cuda
