// Gathers the set of each sequence: rotates keys and queries by their new positions, copies values, packs all of them in rows.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/attend/sm90.hpp"
#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda::sm90 {
namespace {

constexpr int32_t kThreads = 256;
constexpr int32_t kHeads = 2;  // KV heads of one thread
constexpr float kLog2E = 1.4426950408889634f;

__device__ float2 unpack(__half2 x) { return __half22float2(x); }
__device__ float2 unpack(__nv_bfloat162 x) { return __bfloat1622float2(x); }
__device__ void pack(float2 x, __half2& to) { to = __float22half2_rn(x); }
__device__ void pack(float2 x, __nv_bfloat162& to) { to = __float22bfloat162_rn(x); }

template <class T>
struct Pair;
template <>
struct Pair<__half> {
  using Type = __half2;
};
template <>
struct Pair<__nv_bfloat16> {
  using Type = __nv_bfloat162;
};

// A thread's 16 elements of a row: [8c, 8c + 8) and the same in the row's second half, so that in either layout it holds 8 whole pairs.
struct Elements {
  float2 low[4], high[4];
};
struct Angles {
  float4 cos[2], sin[2];
};

template <int kHeadDim>
__device__ Angles angles_at(const RopeTable& rope, int64_t position, int32_t c) {
  constexpr int kHalf = kHeadDim / 2;
  const bool interleaved = rope.layout == RopeLayout::kInterleaved;
  const int32_t first = interleaved ? 4 * c : 8 * c;
  const int32_t second = interleaved ? kHalf / 2 + 4 * c : 8 * c + 4;
  const float* cos = rope.cos + position * kHalf;
  const float* sin = rope.sin + position * kHalf;
  return {{__ldg(reinterpret_cast<const float4*>(cos + first)),
           __ldg(reinterpret_cast<const float4*>(cos + second))},
          {__ldg(reinterpret_cast<const float4*>(sin + first)),
           __ldg(reinterpret_cast<const float4*>(sin + second))}};
}

__device__ void rotate(float& even, float& odd, float c, float s) {
  const float x = even, y = odd;
  even = x * c - y * s;
  odd = x * s + y * c;
}

__device__ void rotate(Elements& e, const Angles& angles, RopeLayout layout) {
  if (layout == RopeLayout::kInterleaved) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float2* x = half == 0 ? e.low : e.high;
      const float4 c = angles.cos[half], s = angles.sin[half];
      rotate(x[0].x, x[0].y, c.x, s.x);
      rotate(x[1].x, x[1].y, c.y, s.y);
      rotate(x[2].x, x[2].y, c.z, s.z);
      rotate(x[3].x, x[3].y, c.w, s.w);
    }
  } else {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float4 c = angles.cos[half], s = angles.sin[half];
      rotate(e.low[2 * half].x, e.high[2 * half].x, c.x, s.x);
      rotate(e.low[2 * half].y, e.high[2 * half].y, c.y, s.y);
      rotate(e.low[2 * half + 1].x, e.high[2 * half + 1].x, c.z, s.z);
      rotate(e.low[2 * half + 1].y, e.high[2 * half + 1].y, c.w, s.w);
    }
  }
}

template <class T>
__device__ void unpack8(uint4 from, float2 (&to)[4]) {
  const auto* pairs = reinterpret_cast<const typename Pair<T>::Type*>(&from);
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = unpack(pairs[i]);
}
template <class T>
__device__ uint4 pack8(const float2 (&from)[4], float factor) {
  uint4 to;
  auto* pairs = reinterpret_cast<typename Pair<T>::Type*>(&to);
#pragma unroll
  for (int i = 0; i < 4; ++i) pack({from[i].x * factor, from[i].y * factor}, pairs[i]);
  return to;
}

// 16-byte pieces of a row.
template <int kHeadDim>
__device__ const uint4* row_pieces(const void* rows, int64_t row) {
  return static_cast<const uint4*>(rows) + row * (kHeadDim / 8);
}

template <class T, int kHeadDim>
__device__ void gather_keys(const Sequence& s, void* rows, int64_t j, int32_t c, int32_t head0) {
  constexpr int kPieces = kHeadDim / 8;
  const AttendArgs& a = s.a;
  const int64_t scope = device_scope(a);
  constexpr int64_t kTile = Tiling<kHeadDim>::kKeys;
  if (j >= (scope + kTile - 1) / kTile * kTile) return;
  const int32_t n_heads = min(kHeads, a.pages.n_kv_heads - head0);
  auto* to_k = const_cast<uint4*>(
      row_pieces<kHeadDim>(rows, s.k_row + int64_t{head0} * s.capacity + j));
  auto* to_v = const_cast<uint4*>(
      row_pieces<kHeadDim>(rows, s.v_row + int64_t{head0} * s.capacity + j));
  const int64_t step = int64_t{s.capacity} * kPieces;
  if (j >= scope) {  // a probability of 0 times what lies here must be 0
    for (int32_t h = 0; h < n_heads; ++h) {
      to_k[h * step + c] = to_k[h * step + kPieces / 2 + c] = make_uint4(0, 0, 0, 0);
      to_v[h * step + c] = to_v[h * step + kPieces / 2 + c] = make_uint4(0, 0, 0, 0);
    }
    return;
  }
  const int64_t token = device_token(a, scope, j);
  const int64_t row = int64_t{head0} * kPageTokens + token % kPageTokens;
  const uint4* k = row_pieces<kHeadDim>(a.pages.k[token / kPageTokens], row);
  const uint4* v = row_pieces<kHeadDim>(a.pages.v[token / kPageTokens], row);
  constexpr int64_t kFromStep = kPageTokens * kPieces;
  uint4 k_in[kHeads][2], v_in[kHeads][2];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (h < n_heads) {
      k_in[h][0] = __ldg(k + h * kFromStep + c);
      k_in[h][1] = __ldg(k + h * kFromStep + kPieces / 2 + c);
      v_in[h][0] = __ldg(v + h * kFromStep + c);
      v_in[h][1] = __ldg(v + h * kFromStep + kPieces / 2 + c);
    }
  }
  const Angles angles = angles_at<kHeadDim>(a.rope, j, c);
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (h < n_heads) {
      to_v[h * step + c] = v_in[h][0];
      to_v[h * step + kPieces / 2 + c] = v_in[h][1];
      Elements e;
      unpack8<T>(k_in[h][0], e.low);
      unpack8<T>(k_in[h][1], e.high);
      rotate(e, angles, a.rope.layout);
      to_k[h * step + c] = pack8<T>(e.low, 1.0f);
      to_k[h * step + kPieces / 2 + c] = pack8<T>(e.high, 1.0f);
    }
  }
}

template <class T, int kHeadDim>
__device__ void gather_query(const Sequence& s, void* rows, int64_t row, int32_t c) {
  constexpr int kPieces = kHeadDim / 8;
  const AttendArgs& a = s.a;
  if (row >= a.n_queries * a.n_heads) return;
  const int64_t query = row / a.n_heads, head = row % a.n_heads;
  const int64_t group = a.n_heads / a.pages.n_kv_heads;
  const auto* q = reinterpret_cast<const float4*>(a.q + row * kHeadDim);
  const float4 in[4] = {__ldg(q + 2 * c), __ldg(q + 2 * c + 1), __ldg(q + kPieces + 2 * c),
                        __ldg(q + kPieces + 2 * c + 1)};
  const Angles angles =
      angles_at<kHeadDim>(a.rope, device_scope(a) - a.n_queries + query, c);
  Elements e = {{{in[0].x, in[0].y}, {in[0].z, in[0].w}, {in[1].x, in[1].y}, {in[1].z, in[1].w}},
                {{in[2].x, in[2].y}, {in[2].z, in[2].w}, {in[3].x, in[3].y}, {in[3].z, in[3].w}}};
  rotate(e, angles, a.rope.layout);
  auto* to = const_cast<uint4*>(row_pieces<kHeadDim>(
      rows, s.q_row + (head / group * a.n_queries + query) * group + head % group));
  const float factor = a.scale * kLog2E;
  to[c] = pack8<T>(e.low, factor);
  to[kPieces / 2 + c] = pack8<T>(e.high, factor);
}

// blockIdx.z: sequence; blockIdx.y: part of the KV heads, and one more for the queries.
template <class T, int kHeadDim>
__global__ void __launch_bounds__(kThreads)
    sm90_gather_kernel(const __grid_constant__ Batch batch) {
  constexpr int kPerRow = kHeadDim / 16;  // threads of one row
  const Sequence& s = batch.sequences[blockIdx.z];
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t row = thread / kPerRow;
  const auto c = static_cast<int32_t>(thread % kPerRow);
  if (blockIdx.y + 1 == gridDim.y) {
    gather_query<T, kHeadDim>(s, batch.rows, row, c);
  } else {
    gather_keys<T, kHeadDim>(s, batch.rows, row, c, static_cast<int32_t>(blockIdx.y) * kHeads);
  }
}

}  // namespace

template <int kHeadDim>
void gather(Context& ctx, const Batch& batch) {
  int64_t most = 0;
  for (int32_t i = 0; i < batch.n; ++i) {
    const Sequence& s = batch.sequences[i];
    most = std::max({most, int64_t{s.capacity}, s.a.n_queries * s.a.n_heads});
  }
  constexpr int64_t kRows = kThreads / (kHeadDim / 16);
  const KvPages& pages = batch.sequences[0].a.pages;
  const dim3 grid(static_cast<unsigned>((most + kRows - 1) / kRows),
                  static_cast<unsigned>((pages.n_kv_heads + kHeads - 1) / kHeads + 1),
                  static_cast<unsigned>(batch.n));
  if (pages.dtype == DType::kF16) {
    sm90_gather_kernel<__half, kHeadDim><<<grid, kThreads, 0, ctx.stream>>>(batch);
  } else {
    sm90_gather_kernel<__nv_bfloat16, kHeadDim><<<grid, kThreads, 0, ctx.stream>>>(batch);
  }
  check_launch("sm90_gather_kernel");
}

template void gather<64>(Context&, const Batch&);
template void gather<128>(Context&, const Batch&);

}  // namespace reattn::kernels::cuda::sm90
