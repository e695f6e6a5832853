// Products of 2 to 8 rows with F8 weights: as gemv.cu does it with BF16, but that x is prepared before, in a kernel
// of its own: with half the bytes of weights, every block doing that for itself would take longer than reading them.
#include "kernels/cuda/linear/gemv_f8.hpp"

#include "kernels/cuda/linear/gemv_f8.cuh"
#include "kernels/cuda/prim/early_launch.cuh"

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

// x as the products take it: of each 16 neighbours two F16 parts, [n_rows, n_in / 16, 2, 16], and by what the sums
// of a row are multiplied in the end, [n_rows].
struct Halves {
  uint4* parts;
  float* scales;
};

// A block to a row of x: RMSNorm where that is asked for, the scale, the parts.
__global__ void __launch_bounds__(kThreads)
    halves_kernel(const float* x, const float* norm, int n_in, float eps, Halves out) {
  wait_for_previous();
  let_next_start();
  __shared__ float warp_squares[kWarps], warp_most[kWarps];
  x += static_cast<int64_t>(blockIdx.x) * n_in;
  uint4* parts = out.parts + static_cast<int64_t>(blockIdx.x) * (n_in / 16) * 4;
  float squares = 0, most = 0;
  for (int k = static_cast<int>(threadIdx.x) * 8; k < n_in; k += kThreads * 8) {
    Eight v(x + k, true);
    if (norm != nullptr) {
      squares = v.squares(squares);
      v.multiply(Eight(norm + k, true));
    }
    most = largest(v, most);
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    squares += __shfl_xor_sync(0xFFFFFFFFu, squares, step);
    most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFu, most, step));
  }
  if (threadIdx.x % 32 == 0) {
    warp_squares[threadIdx.x / 32] = squares;
    warp_most[threadIdx.x / 32] = most;
  }
  __syncthreads();
  squares = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    squares += warp_squares[w];
    most = fmaxf(most, warp_most[w]);
  }
  const PowerOfTwo power(most);
  if (threadIdx.x == 0) {
    const float root = norm != nullptr ? sqrtf(squares / static_cast<float>(n_in) + eps) : 1.0F;
    out.scales[blockIdx.x] = power.back / root;
  }
  for (int k = static_cast<int>(threadIdx.x) * 8; k < n_in; k += kThreads * 8) {
    Eight v(x + k, true);
    if (norm != nullptr) v.multiply(Eight(norm + k, true));
    uint4 high, low;
    split_f16(v, power.times, high, low);
    uint4* to = parts + k / 16 * 4 + k / 8 % 2;
    to[0] = high;
    to[2] = low;
  }
}

// Four neighbours of two rows of weights, and of a column of x in two parts.
__device__ void add_four(Accumulator& sum, uint32_t w_low, uint32_t w_high, uint32_t x_high_0,
                         uint32_t x_high_1, uint32_t x_low_0, uint32_t x_low_1) {
  const uint32_t a0 = unpack_two(w_low), a1 = unpack_two(w_high), a2 = unpack_two(w_low >> 16),
                 a3 = unpack_two(w_high >> 16);
  mma_f16(sum.high, a0, a1, a2, a3, x_high_0, x_high_1);
  mma_f16(sum.low, a0, a1, a2, a3, x_low_0, x_low_1);
}

template <bool kGateUp>
__global__ void __launch_bounds__(kThreads, 3)
    gemv_f8_kernel(const __grid_constant__ Params a, Halves x) {
  __shared__ float sums[kWarps * kColumns * kSumsRow];
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
  const uint4* parts =
      x.parts + static_cast<int64_t>(column < a.n_rows ? column : 0) * (a.n_in / 16) * 4;
  Accumulator sum;
  for (int begin = warp * kTurn; begin < a.n_in; begin += kWarps * kTurn) {
    uint4 w_low[kF8Unroll], w_high[kF8Unroll], halves[kF8Unroll][4];
#pragma unroll
    for (int u = 0; u < kF8Unroll; ++u) {
      const int k = begin + u * kF8Step + at;
      w_low[u] = w_high[u] = make_uint4(0, 0, 0, 0);
      if (k < a.n_in) {
        w_low[u] = load_weights(low_row + k);
        w_high[u] = load_weights(high_row + k);
      }
    }
#pragma unroll
    for (int u = 0; u < kF8Unroll; ++u) {
      const int k = begin + u * kF8Step + at;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        halves[u][i] = k < a.n_in ? parts[k / 16 * 4 + i] : make_uint4(0, 0, 0, 0);
      }
    }
#pragma unroll
    for (int u = 0; u < kF8Unroll; ++u) {
      const uint4(&h)[4] = halves[u];
      add_four(sum, w_low[u].x, w_high[u].x, h[0].x, h[0].y, h[2].x, h[2].y);
      add_four(sum, w_low[u].y, w_high[u].y, h[0].z, h[0].w, h[2].z, h[2].w);
      add_four(sum, w_low[u].z, w_high[u].z, h[1].x, h[1].y, h[3].x, h[3].y);
      add_four(sum, w_low[u].w, w_high[u].w, h[1].z, h[1].w, h[3].z, h[3].w);
    }
  }
  sum.store(sums, kColumns);
  __syncthreads();
  finish_tile<false, kGateUp, true>(a, tile, sums, x.scales, kColumns);
}

}  // namespace

void launch_gemv_f8(Context& ctx, const Params& p, bool gate_up) {
  if (p.n_rows == 1 && launch_gemv_row_f8(ctx, p, gate_up)) return;
  const auto n_rows = static_cast<size_t>(p.n_rows), n_in = static_cast<size_t>(p.n_in);
  const size_t parts_bytes = Scratch::padded(n_rows * n_in * 4);
  ctx.scratch.begin(parts_bytes + Scratch::padded(n_rows * sizeof(float)));
  const Halves x{ctx.scratch.take<uint4>(n_rows * n_in / 4), ctx.scratch.take<float>(n_rows)};
  launch_early(ctx, halves_kernel, "halves_kernel", dim3(static_cast<unsigned>(n_rows)), kThreads,
               0, p.x, p.norm, p.n_in, p.eps, x);
  launch_early(ctx, gate_up ? gemv_f8_kernel<true> : gemv_f8_kernel<false>, "gemv_f8_kernel",
               dim3(static_cast<unsigned>(p.n_tiles)), kThreads, 0, p, x);
}

}  // namespace reattn::kernels::cuda
