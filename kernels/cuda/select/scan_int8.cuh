// The scan's products of int8 keys with int8 queries. The sums are exact, so their scores are the reference's in every bit.
#pragma once

#include "kernels/cuda/prim/int8.cuh"
#include "kernels/cuda/select/block.cuh"
#include "kernels/cuda/select/scan_keys.cuh"

namespace reattn::kernels::cuda {

template <int kDim, int kNTiles>
struct ScanInt8 {
  static constexpr int kGroups = kDim / 64;               // of 64 dimensions: 16 bytes a lane, two products
  static constexpr bool kHasHalf = kDim % 64 >= 32;       // and 32: 8 bytes, one product
  static constexpr bool kHasQuarter = kDim % 32 != 0;     // and 16: 4 bytes, half a product
  static constexpr int kSteps = (kDim + 31) / 32;         // products over the dimensions
  static constexpr int kMTiles = kDim == 64 ? 4 : 2;      // of 16 keys; a tile's keys share a scale
  static constexpr bool kQInShared = kNTiles > 2;

  struct Shared {
    alignas(8) uint32_t q[kNTiles][kSteps][kWarp][2];  // as the lanes need it: two registers a step
    alignas(8) float scales[8 * kNTiles];              // of the queries
  };
  struct Queries {
    uint2 b[kQInShared ? 1 : kNTiles][kQInShared ? 1 : kSteps];
    float scales[kNTiles][2];  // of columns 8 n + 2 t + j
  };

  // A warp quantises the query of a column. query_of(column): [kDim]
  template <class QueryOf>
  __device__ static void load_queries(const QueryOf& query_of, Queries& q, Shared& shared) {
    constexpr int kFours = (kDim + 4 * kWarp - 1) / (4 * kWarp);  // of a lane
    const int32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    float4 x[kNTiles][kFours];
#pragma unroll
    for (int n = 0; n < kNTiles; ++n) {
      const float* from = query_of(8 * n + warp);
#pragma unroll
      for (int i = 0; i < kFours; ++i) {
        const int32_t at = 4 * (lane + i * kWarp);
        x[n][i] = at < kDim ? *reinterpret_cast<const float4*>(from + at) : make_float4(0, 0, 0, 0);
      }
    }
#pragma unroll
    for (int n = 0; n < kNTiles; ++n) {
      float most = 0;
#pragma unroll
      for (const float4& four : x[n]) {
        most = fmaxf(most, fmaxf(fmaxf(fabsf(four.x), fabsf(four.y)), fmaxf(fabsf(four.z), fabsf(four.w))));
      }
#pragma unroll
      for (int distance = 1; distance < kWarp; distance *= 2) {
        most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, distance));
      }
      const float scale = int8_scale(most);
      if (lane == 0) shared.scales[8 * n + warp] = scale;
#pragma unroll
      for (int i = 0; i < kFours; ++i) {
        const int32_t at = 4 * (lane + i * kWarp);
        if (at >= kDim) continue;
        const float4& four = x[n][i];
        const auto number = [&](float y) { return static_cast<uint32_t>(to_int8(y, scale)); };
        const uint32_t low = __byte_perm(number(four.x), number(four.y), 0x0040);
        const uint32_t high = __byte_perm(number(four.z), number(four.w), 0x0040);
        // The lane and the register that the four dimensions from `at` on belong to.
        int32_t step, t, r;
        if (at < 64 * kGroups) {
          step = at / 64 * 2 + at % 16 / 8, t = at % 64 / 16, r = at % 8 / 4;
        } else if (kHasHalf && at < 64 * kGroups + 32) {
          step = 2 * kGroups, t = at % 32 / 8, r = at % 8 / 4;
        } else {
          step = kSteps - 1, t = at % 16 / 4, r = 0;
        }
        shared.q[n][step][4 * warp + t][r] = __byte_perm(low, high, 0x5410);
      }
    }
    __syncthreads();
#pragma unroll
    for (int n = 0; n < kNTiles; ++n) {
      const float2 two = reinterpret_cast<const float2*>(shared.scales)[4 * n + lane % 4];
      q.scales[n][0] = two.x;
      q.scales[n][1] = two.y;
      if constexpr (!kQInShared) {
#pragma unroll
        for (int step = 0; step < kSteps; ++step) {
          q.b[n][step] = *reinterpret_cast<const uint2*>(shared.q[n][step][lane]);
        }
      }
    }
  }

  // A tile's keys as the lanes need them.
  struct Keys {
    uint4 groups[kMTiles][2][kGroups];
    uint2 half[kMTiles][2];
    uint32_t quarter[kMTiles][2];
    float scale;
  };
  __device__ static void load(const char* rows, const float* scale_at, Keys& keys) {
    const int32_t lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
    const char* at = rows + g * kDim + 16 * t;
    asm("" : "+l"(at));  // one address and offsets, not many addresses
    keys.scale = __uint_as_float(load_quarter_key(scale_at));
#pragma unroll
    for (int m = 0; m < kMTiles; ++m) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const char* row = at + (16 * m + 8 * h) * kDim;
#pragma unroll
        for (int i = 0; i < kGroups; ++i) keys.groups[m][h][i] = load_key(row + 64 * i);
        if constexpr (kHasHalf) keys.half[m][h] = load_half_key(row + 64 * kGroups - 8 * t);
        if constexpr (kHasQuarter) {
          keys.quarter[m][h] = load_quarter_key(row + 32 * (kSteps - 1) - 12 * t);
        }
      }
    }
  }

  // sums[m][n]: keys 16 m + g and 16 m + 8 + g, columns 8 n + 2 t and 8 n + 2 t + 1.
  __device__ static void products(const Keys& keys, const Queries& q, const Shared& shared,
                                  int32_t (&sums)[kMTiles][kNTiles][4]) {
    const int32_t lane = threadIdx.x % kWarp;
#pragma unroll
    for (int m = 0; m < kMTiles; ++m) {
#pragma unroll
      for (int n = 0; n < kNTiles; ++n) {
#pragma unroll
        for (int32_t& x : sums[m][n]) x = 0;
#pragma unroll
        for (int step = 0; step < kSteps; ++step) {
          uint2 b;
          if constexpr (kQInShared) {
            b = *reinterpret_cast<const uint2*>(shared.q[n][step][lane]);
          } else {
            b = q.b[n][step];
          }
          if (kHasQuarter && step == kSteps - 1) {
            mma_int8(sums[m][n], keys.quarter[m][0], keys.quarter[m][1], b.x);
          } else if (kHasHalf && step == 2 * kGroups) {
            const uint2 &low = keys.half[m][0], &high = keys.half[m][1];
            mma_int8(sums[m][n], low.x, high.x, low.y, high.y, b.x, b.y);
          } else if (step % 2 == 0) {
            const uint4 &low = keys.groups[m][0][step / 2], &high = keys.groups[m][1][step / 2];
            mma_int8(sums[m][n], low.x, high.x, low.y, high.y, b.x, b.y);
          } else {
            const uint4 &low = keys.groups[m][0][step / 2], &high = keys.groups[m][1][step / 2];
            mma_int8(sums[m][n], low.z, high.z, low.w, high.w, b.x, b.y);
          }
        }
      }
    }
  }
};

}  // namespace reattn::kernels::cuda
