// What the fast attention does with its query rows outside of matrix products: laying them out, and the online softmax.
#pragma once

#include <cmath>

#include "kernels/cuda/attend/ptx.hpp"
#include "kernels/cuda/attend/rotate.hpp"

namespace reattn::kernels::cuda::sm90 {

template <class T>
__device__ uint32_t packed(float low, float high) {
  uint32_t out;
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  }
  return out;
}

// The online softmax of a thread's two rows, a quad of lanes sharing them.
struct Softmax {
  float largest[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0, 0};  // of this lane's columns
  float keep[2];          // what to multiply earlier results by

  // Scores (in powers of two) become probabilities relative to the largest so far.
  template <int kN>
  __device__ void take(float (&s)[kN]) {
    float most[4] = {s[0], s[1], s[2], s[3]};  // two chains for each row
#pragma unroll
    for (int i = 4; i < kN; ++i) most[i % 4] = fmaxf(most[i % 4], s[i]);
    float base[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float m = fmaxf(most[2 * r], most[2 * r + 1]);
      m = fmaxf(m, __shfl_xor_sync(~0u, m, 1));
      m = fmaxf(m, __shfl_xor_sync(~0u, m, 2));
      m = fmaxf(m, largest[r]);
      base[r] = m == -INFINITY ? 0.0f : m;
      keep[r] = exp2_approx(largest[r] - base[r]);
      largest[r] = m;
    }
    float sums[4] = {sum[0] * keep[0], 0, sum[1] * keep[1], 0};
#pragma unroll
    for (int i = 0; i < kN; ++i) {
      s[i] = exp2_approx(s[i] - base[i / 2 % 2]);
      sums[i % 4] += s[i];
    }
    sum[0] = sums[0] + sums[1];
    sum[1] = sums[2] + sums[3];
  }
};

constexpr float kLog2E = 1.4426950408889634f;

// Rotates and rounds the 64 query rows of a warpgroup, scores being in powers of two, and lays them out for wgmma.
template <class T, int kHeadDim>
__device__ void place_queries(const AttendArgs& a, int64_t scope, int32_t kv_head,
                              int32_t first_row, unsigned char* to, int32_t panel_bytes,
                              int32_t thread) {
  constexpr int kLanes = kHeadDim / 16;  // threads of one row
  const int32_t group = a.n_heads / a.pages.n_kv_heads;
  const int32_t c = thread % kLanes;
  const float factor = a.scale * kLog2E;
#pragma unroll
  for (int32_t i = 0; i < 64; i += 128 / kLanes) {
    const int32_t at = i + thread / kLanes;
    const int32_t query = (first_row + at) / group, head = (first_row + at) % group;
    uint4 low = make_uint4(0, 0, 0, 0), high = low;
    if (query < a.n_queries) {
      const auto* q = reinterpret_cast<const float4*>(
          a.q + (int64_t{query} * a.n_heads + kv_head * group + head) * kHeadDim);
      const float4 in[4] = {__ldg(q + 2 * c), __ldg(q + 2 * c + 1), __ldg(q + 2 * (kLanes + c)),
                            __ldg(q + 2 * (kLanes + c) + 1)};
      const Angles angles = angles_at<kHeadDim>(a.rope, scope - a.n_queries + query, c);
      RowPart part = {
          {{in[0].x, in[0].y}, {in[0].z, in[0].w}, {in[1].x, in[1].y}, {in[1].z, in[1].w}},
          {{in[2].x, in[2].y}, {in[2].z, in[2].w}, {in[3].x, in[3].y}, {in[3].z, in[3].w}}};
      rotate(part, angles, a.rope.layout);
      low = pack<T>(part.low, factor);
      high = pack<T>(part.high, factor);
    }
    const auto place = [&](int32_t piece) {  // panels of 8 pieces, swizzled in rows of 128 bytes
      return reinterpret_cast<uint4*>(to + piece / 8 * panel_bytes + at * 128 +
                                      (piece % 8 ^ at % 8) * 16);
    };
    *place(c) = low;
    *place(kLanes + c) = high;
  }
}

}  // namespace reattn::kernels::cuda::sm90
