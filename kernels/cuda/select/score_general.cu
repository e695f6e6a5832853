// Scoring for every cache type, head_dim and alignment, native and in int8: plain products, a warp's list of picks for each row. Also
// the merge.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/prim/int8.cuh"
#include "kernels/cuda/select/score_item.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int32_t kThreads = kScoreTile;  // one key of the tile each
constexpr int32_t kChunk = 64;            // elements of the rows held at once
constexpr int32_t kRowsPerWarp = kGeneralRows / (kThreads / 32);

__device__ float rounded(float x, const float*) { return x; }
__device__ float rounded(float x, const __half*) { return __half2float(__float2half_rn(x)); }
__device__ float rounded(float x, const __nv_bfloat16*) {
  return __bfloat162float(__float2bfloat16_rn(x));
}
__device__ float widened(float x) { return x; }
__device__ float widened(int8_t x) { return x; }
__device__ float widened(__half x) { return __half2float(x); }
__device__ float widened(__nv_bfloat16 x) { return __bfloat162float(x); }

// One warp: the row's int8 scale.
__device__ float row_scale(const float* q, int32_t head_dim, uint32_t lane) {
  float most = 0;
  for (auto e = static_cast<int32_t>(lane); e < head_dim; e += 32) most = fmaxf(most, fabsf(q[e]));
  for (int32_t step = 16; step > 0; step /= 2) {
    most = fmaxf(most, __shfl_xor_sync(~0U, most, step));
  }
  return int8_scale(most);
}

// The sums of one key over the elements [0, n) of the rows.
template <class K>
__device__ void add_products(float (&sums)[kGeneralRows], const float (&q)[kGeneralRows][kChunk],
                             const K* key, int32_t n) {
  for (int32_t e = 0; e < n; ++e) {
    const float k = widened(key[e]);
#pragma unroll
    for (int32_t r = 0; r < kGeneralRows; ++r) sums[r] = fmaf(q[r][e], k, sums[r]);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    general_score_kernel(const __grid_constant__ ScoreBatch batch) {
  __shared__ float q[kGeneralRows][kChunk];
  __shared__ float q8[kGeneralRows][kChunk];  // int8 numbers: as floats their sums are exact
  __shared__ float q8_scale[kGeneralRows];
  __shared__ float scores[kGeneralRows][kScoreTile];
  const ScoreItem item(batch, static_cast<int32_t>(blockIdx.x), kGeneralRows);
  const ScoreSequence& s = batch.sequences[item.sequence];
  const int32_t thread = static_cast<int32_t>(threadIdx.x), warp = thread / 32;
  const uint32_t lane = threadIdx.x % 32;
  Pick held[kRowsPerWarp], last[kRowsPerWarp];
  for (int32_t r = 0; r < kRowsPerWarp; ++r) held[r] = last[r] = kNoPick;

  for (int32_t r = 0; r < kRowsPerWarp && s.int8_end > 0; ++r) {
    const int32_t row = warp * kRowsPerWarp + r;
    const float scale = item.row + row < s.n_rows
                            ? row_scale(score_query(s, item.kv_head, item.row + row), s.head_dim, lane)
                            : 0;
    if (lane == 0) q8_scale[row] = scale;  // read after the next barrier
  }

  for (int32_t tile = item.tile; tile < item.tile_end; ++tile) {
    const int32_t start = s.origin + tile * kScoreTile, position = start + thread;
    const bool valid = position >= s.begin && position < s.end;
    const bool in_int8 = position < s.int8_end;
    const int64_t key_at =
        (static_cast<int64_t>(item.kv_head) * kPageTokens + position % kPageTokens) * s.head_dim;
    const void* page = !valid    ? nullptr
                       : in_int8 ? s.pages8[position / kPageTokens]
                                 : s.pages[position / kPageTokens];
    float sums[kGeneralRows] = {};
    for (int32_t from = 0; from < s.head_dim; from += kChunk) {
      const int32_t n = min(kChunk, s.head_dim - from);
      __syncthreads();  // nobody reads the last chunk any more
      for (int32_t i = thread; i < kGeneralRows * kChunk; i += kThreads) {
        const int32_t r = i / kChunk, e = i % kChunk;
        const bool there = item.row + r < s.n_rows && e < n;
        const float x = there ? score_query(s, item.kv_head, item.row + r)[from + e] : 0;
        q[r][e] = rounded(x, static_cast<const T*>(nullptr));
        if (s.int8_end > 0) q8[r][e] = static_cast<float>(to_int8(x, q8_scale[r]));
      }
      __syncthreads();
      if (!valid) continue;
      if (in_int8) {
        add_products(sums, q8, static_cast<const int8_t*>(page) + key_at + from, n);
      } else {
        add_products(sums, q, static_cast<const T*>(page) + key_at + from, n);
      }
    }
    if (valid && in_int8) {
      const float scale = int8_scales(page, s.n_kv_heads, s.head_dim)[int8_scale_index(item.kv_head, position)];
#pragma unroll
      for (int32_t r = 0; r < kGeneralRows; ++r) sums[r] *= scale * q8_scale[r];
    }
    for (int32_t r = 0; r < kGeneralRows; ++r) scores[r][thread] = valid ? sums[r] : -INFINITY;
    __syncthreads();
    for (int32_t r = 0; r < kRowsPerWarp; ++r) {
      Pick winner = kNoPick;  // of block1
      for (int32_t i = static_cast<int32_t>(lane); i < kScoreTile; i += 32) {
        const float score = scores[warp * kRowsPerWarp + r][i];
        const Pick pick = pickable(score) ? make_pick(score, start + i) : kNoPick;
        if (batch.block1) {
          winner = max(winner, pick);
        } else {
          offer_to_warp(held[r], last[r], pick, s.top_k, lane);
        }
      }
      if (!batch.block1) continue;
      for (int32_t step = 16; step > 0; step /= 2) {
        winner = max(winner, __shfl_xor_sync(~0U, winner, step));
      }
      offer_to_warp(held[r], last[r], lane == 0 ? winner : kNoPick, s.top_k, lane);
    }
  }
  for (int32_t r = 0; r < kRowsPerWarp; ++r) {
    const int32_t row = item.row + warp * kRowsPerWarp + r;
    const auto rank = static_cast<int32_t>(lane);
    if (row < s.n_rows && rank < s.top_k) store_pick(s, item, row, rank, held[r]);
  }
}

constexpr int32_t kMergeWarps = 8;

// One warp merges the lists of one row.
__global__ void __launch_bounds__(32 * kMergeWarps)
    score_merge_kernel(const __grid_constant__ ScoreBatch batch) {
  const ScoreSequence& s = batch.sequences[blockIdx.y];
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kMergeWarps + threadIdx.x / 32;
  const uint32_t lane = threadIdx.x % 32;
  if (s.n_lists == 1 || at >= static_cast<int64_t>(s.n_kv_heads) * s.n_rows) return;
  const int32_t n = s.n_lists * s.top_k;
  const Pick* from = s.partial + at * n;
  Pick held = kNoPick, last = kNoPick;
  for (int32_t i = 0; i < n; i += 32) {
    const int32_t mine = i + static_cast<int32_t>(lane);
    offer_to_warp(held, last, mine < n ? from[mine] : kNoPick, s.top_k, lane);
  }
  const auto kv_head = static_cast<int32_t>(at / s.n_rows);
  const auto row = static_cast<int32_t>(at % s.n_rows);
  if (lane < static_cast<uint32_t>(s.top_k)) {
    s.picks[picks_row(s, kv_head, row) * s.top_k + lane] = pick_position(held);
  }
}

}  // namespace

void launch_score_general(Context& ctx, const ScoreBatch& batch) {
  const auto n = static_cast<uint32_t>(batch.items_per_head * batch.sequences[0].n_kv_heads);
  switch (batch.dtype) {
    case DType::kF16:
      general_score_kernel<__half><<<n, kThreads, 0, ctx.stream>>>(batch);
      break;
    case DType::kBF16:
      general_score_kernel<__nv_bfloat16><<<n, kThreads, 0, ctx.stream>>>(batch);
      break;
    default:
      general_score_kernel<float><<<n, kThreads, 0, ctx.stream>>>(batch);
  }
  check_launch("general_score_kernel");
}

void launch_score_merge(Context& ctx, const ScoreBatch& batch) {
  int64_t most = 0;
  for (int32_t i = 0; i < batch.n; ++i) {
    const ScoreSequence& s = batch.sequences[i];
    if (s.n_lists > 1) most = std::max(most, static_cast<int64_t>(s.n_kv_heads) * s.n_rows);
  }
  if (most == 0) return;
  const dim3 grid(static_cast<uint32_t>((most + kMergeWarps - 1) / kMergeWarps),
                  static_cast<uint32_t>(batch.n));
  score_merge_kernel<<<grid, 32 * kMergeWarps, 0, ctx.stream>>>(batch);
  check_launch("score_merge_kernel");
}

}  // namespace reattn::kernels::cuda
