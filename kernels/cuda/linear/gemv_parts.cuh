// What the kernels for few rows share: their arguments, x in two parts, the tensor cores; and what
// the one for several rows does with its sums.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace reattn::kernels::cuda::gemv_parts {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kTile = 16;    // outputs: the rows of one mma
constexpr int kStep = 32;    // elements of a row that a quad of lanes loads, 16 bytes each
constexpr int kUnroll = 4;   // steps of a warp's turn: 256 bytes of a row
constexpr int kColumns = 8;  // of an mma: rows of x
constexpr int kSumsRow = kTile + 1;

struct Part {
  const __nv_bfloat16* w;  // [n_out, n_in]
  const float* bias;       // [n_out] or null
  float* out;              // [n_rows, n_out]
  int32_t n_out;
  int32_t first_tile, first_row;
  const float* scales;  // [n_out] where w is F8, else null
};
struct Params {
  Part parts[3];
  const float* x;     // [n_rows, n_in]
  const float* norm;  // [n_in]
  int32_t n_rows, n_in, n_tiles;
  int32_t n_first;  // tiles of the blocks that start first
  int32_t n_units;  // rows of weights, or pairs of gate's and up's
  float eps;
  bool accumulate;
};

// Two floats as two pairs of bf16: what rounding leaves is in the second.
__device__ inline void split(float x0, float x1, uint32_t& high, uint32_t& low) {
  const __nv_bfloat162 h = __floats2bfloat162_rn(x0, x1);
  const __nv_bfloat162 l = __floats2bfloat162_rn(x0 - __low2float(h), x1 - __high2float(h));
  high = *reinterpret_cast<const uint32_t*>(&h);
  low = *reinterpret_cast<const uint32_t*>(&l);
}

// Eight neighbours of a row of x, or zeros. Apart from their use, so that many loads are under way.
struct Eight {
  float4 first, second;

  __device__ Eight() : first(make_float4(0, 0, 0, 0)), second(first) {}
  __device__ Eight(const float* p, bool in_range) : Eight() {
    if (!in_range) return;
    first = *reinterpret_cast<const float4*>(p);
    second = *reinterpret_cast<const float4*>(p + 4);
  }
  __device__ float squares(float sum) const {
    for (const float v :
         {first.x, first.y, first.z, first.w, second.x, second.y, second.z, second.w}) {
      sum = fmaf(v, v, sum);
    }
    return sum;
  }
  __device__ void multiply(const Eight& o) {
    first = make_float4(first.x * o.first.x, first.y * o.first.y, first.z * o.first.z,
                        first.w * o.first.w);
    second = make_float4(second.x * o.second.x, second.y * o.second.y, second.z * o.second.z,
                         second.w * o.second.w);
  }
  __device__ void split_into(uint4& high, uint4& low) const {
    split(first.x, first.y, high.x, low.x);
    split(first.z, first.w, high.y, low.y);
    split(second.x, second.y, high.z, low.z);
    split(second.z, second.w, high.w, low.w);
  }
};

__device__ inline void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                           uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// A warp's sums of one tile.
struct Accumulator {
  float high[4] = {}, low[4] = {};

  // A step: eight neighbours of two rows of weights and of a column of x in each lane. Which
  // element is which k of the mma does not matter, so long as w and x agree.
  __device__ void add(const uint4& w_low, const uint4& w_high, const uint4& x_high,
                      const uint4& x_low) {
    mma(high, w_low.x, w_high.x, w_low.y, w_high.y, x_high.x, x_high.y);
    mma(low, w_low.x, w_high.x, w_low.y, w_high.y, x_low.x, x_low.y);
    mma(high, w_low.z, w_high.z, w_low.w, w_high.w, x_high.z, x_high.w);
    mma(low, w_low.z, w_high.z, w_low.w, w_high.w, x_low.z, x_low.w);
  }
  // sums: [kWarps, n_columns, kSumsRow]
  __device__ void store(float* sums, int n_columns) const {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int row = lane / 4, column = lane % 4 * 2;
    float* to = sums + (warp * n_columns + column) * kSumsRow + row;
    if (column < n_columns) {
      to[0] = high[0] + low[0];
      to[8] = high[2] + low[2];
    }
    if (column + 1 < n_columns) {
      to[kSumsRow] = high[1] + low[1];
      to[kSumsRow + 8] = high[3] + low[3];
    }
  }
};

// Where a lane finds its two rows of a tile's weights, 8 apart: of one part, or of gate and up.
template <bool kGateUp>
__device__ void find_rows(const Params& a, int tile, const __nv_bfloat16*& low,
                          const __nv_bfloat16*& high) {
  const int lane_row = static_cast<int>(threadIdx.x) % 32 / 4;
  if constexpr (kGateUp) {
    const int64_t row = min(tile * 8 + lane_row, a.parts[0].n_out - 1);
    low = a.parts[0].w + row * a.n_in;
    high = a.parts[1].w + row * a.n_in;
  } else {
    const Part& p = tile >= a.parts[2].first_tile   ? a.parts[2]
                    : tile >= a.parts[1].first_tile ? a.parts[1]
                                                    : a.parts[0];
    const int row = (tile - p.first_tile) * kTile + lane_row;
    low = p.w + static_cast<int64_t>(min(row, p.n_out - 1)) * a.n_in;
    high = p.w + static_cast<int64_t>(min(row + 8, p.n_out - 1)) * a.n_in;
  }
}

__device__ inline float total(const float* sums, int n_columns, int column, int row) {
  float sum = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) sum += sums[(w * n_columns + column) * kSumsRow + row];
  return sum;
}

// After a barrier: the outputs of a tile from what the warps have stored. squares: [kWarps,
// n_columns]; with F8 weights the scales of the columns, [n_columns].
template <bool kNorm, bool kGateUp, bool kF8 = false>
__device__ void finish_tile(const Params& a, int tile, const float* sums, const float* squares,
                            int n_columns) {
  constexpr int kOutputs = kGateUp ? 8 : kTile;
  const int column = threadIdx.x / kOutputs, row = threadIdx.x % kOutputs;
  if (column >= a.n_rows) return;
  float scale = 1;
  if constexpr (kF8) scale = squares[column];
  if constexpr (kNorm) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += squares[w * n_columns + column];
    scale = 1.0F / sqrtf(sum / static_cast<float>(a.n_in) + a.eps);
  }
  if constexpr (kGateUp) {
    const Part& p = a.parts[0];
    const int output = tile * 8 + row;
    if (output >= p.n_out) return;
    float gate = total(sums, n_columns, column, row) * scale;
    float up = total(sums, n_columns, column, row + 8) * scale;
    if constexpr (kF8) {
      gate *= p.scales[output];
      up *= a.parts[1].scales[output];
    }
    p.out[static_cast<int64_t>(column) * p.n_out + output] = gate / (1.0F + expf(-gate)) * up;
  } else {
    const Part& p = tile >= a.parts[2].first_tile   ? a.parts[2]
                    : tile >= a.parts[1].first_tile ? a.parts[1]
                                                    : a.parts[0];
    const int output = (tile - p.first_tile) * kTile + row;
    if (output >= p.n_out) return;
    float v = total(sums, n_columns, column, row) * scale;
    if constexpr (kF8) v *= p.scales[output];
    if (p.bias != nullptr) v += p.bias[output];
    float* out = p.out + static_cast<int64_t>(column) * p.n_out + output;
    *out = a.accumulate ? *out + v : v;
  }
}

// A lane's part of the sum of squares, to where finish_tile finds it.
__device__ inline void store_squares(float lane_squares, float* squares, int n_columns) {
  lane_squares += __shfl_xor_sync(0xFFFFFFFFu, lane_squares, 1);
  lane_squares += __shfl_xor_sync(0xFFFFFFFFu, lane_squares, 2);
  const int lane = threadIdx.x % 32;
  if (lane % 4 == 0 && lane / 4 < n_columns) {
    squares[threadIdx.x / 32 * n_columns + lane / 4] = lane_squares;
  }
}

}  // namespace reattn::kernels::cuda::gemv_parts
