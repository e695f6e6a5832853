// Attention with Hopper's wgmma. Some warps pack the set, one fetches tiles of packed keys and values, warpgroups take turns at
// products, the softmax of one under the products of another. Query rows are (query, head of the group), so that
// the keys of a KV head are read once for its group.
#pragma once

#include "kernels/cuda/attend/pack.hpp"
#include "kernels/cuda/attend/ptx.hpp"
#include "kernels/cuda/attend/rows.hpp"
#include "kernels/cuda/attend/sm90.hpp"
#include "kernels/cuda/attend/wgmma.hpp"

namespace reattn::kernels::cuda::sm90 {

template <int kHeadDim>
struct Plan : Tiling<kHeadDim> {
  using P = Tiling<kHeadDim>;
  using Tiling<kHeadDim>::kKeys;
  using Tiling<kHeadDim>::kWarpgroups;
  static constexpr int kRows = 64 * kWarpgroups;
  static constexpr int kThreads = 128 * (kWarpgroups + 1);
  // What the block is given at its start is shared out anew.
  static constexpr int kRegisters = 65536 / kThreads / 8 * 8;  // of each thread at the start
  static_assert(kWarpgroups * P::kConsumerRegisters + P::kProducerRegisters <=
                (kWarpgroups + 1) * kRegisters);
  static constexpr uint32_t kQBytes = kRows * kHeadDim * 2;
  static constexpr uint32_t kTileBytes = kKeys * kHeadDim * 2;
};

template <int kHeadDim>
struct Shared {
  using P = Plan<kHeadDim>;
  unsigned char q[P::kQBytes];  // panels of 64 columns, then rows
  unsigned char k[P::kStages][P::kTileBytes];
  unsigned char v[P::kStages][P::kTileBytes];
  Barrier k_full[P::kStages], k_empty[P::kStages], v_full[P::kStages], v_empty[P::kStages];
};
constexpr size_t kAlignment = 1024;  // of the swizzle

// What one block does.
struct Item {
  int32_t sequence, kv_head, split, tile;
};

__device__ inline Item find_item(const Batch& batch, int32_t at) {
  int32_t i = 0;
  while (i + 1 < batch.n && at >= batch.sequences[i + 1].first_item) ++i;
  const Sequence& s = batch.sequences[i];
  at -= s.first_item;
  const int32_t rest = at / s.n_tiles;
  return {i, rest / batch.n_splits, rest % batch.n_splits, at % s.n_tiles};
}

// kCluster 2: two blocks with neighbouring tiles of rows fetch half of each tile of keys and values, each for both: what the L2 cache
// gives bounds this kernel for 128 columns.
// kInt8: keys may be in int8.
template <class T, int kHeadDim, int kCluster, bool kInt8>
__global__ void __launch_bounds__(Plan<kHeadDim>::kThreads, 1)
    sm90_attend_kernel(const __grid_constant__ Batch batch,
                       const __grid_constant__ CUtensorMap kv_map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using P = Plan<kHeadDim>;
  constexpr int kKeys = P::kKeys, kStages = P::kStages, kRows = P::kRows;
  extern __shared__ unsigned char dynamic[];
  auto& shared = *reinterpret_cast<Shared<kHeadDim>*>(
      dynamic + (kAlignment - shared_address(dynamic) % kAlignment) % kAlignment);

  const Item item = find_item(batch, static_cast<int32_t>(blockIdx.x));
  const Sequence& s = batch.sequences[item.sequence];
  const auto scope = static_cast<int32_t>(device_scope(s.a));
  const auto n_queries = static_cast<int32_t>(s.a.n_queries);
  const int32_t group = s.a.n_heads / s.a.pages.n_kv_heads;
  const int32_t n_rows = n_queries * group;
  const int32_t first_row = item.tile * kRows;
  const int32_t before = scope - n_queries + 1;  // query i sees the first before + i
  // Tiles of keys of this block's part that some row of it sees.
  const int32_t last_tile = item.tile / kCluster * kCluster + kCluster - 1;
  const int32_t seen = before + (min((last_tile + 1) * kRows, n_rows) - 1) / group;
  const int2 tiles = tiles_of_split<kHeadDim>(scope, item.split, batch.n_splits);
  const int32_t begin = tiles.x, end = min(tiles.y, (seen + kKeys - 1) / kKeys);

  if (threadIdx.x == 0) {
    prefetch_map(kv_map);
    for (int i = 0; i < kStages; ++i) {
      shared.k_full[i].init(1);
      shared.v_full[i].init(1);
      shared.k_empty[i].init(4 * P::kWarpgroups * kCluster);
      shared.v_empty[i].init(4 * P::kWarpgroups * kCluster);
    }
    fence_barrier_init();
  }
  if constexpr (kCluster > 1) {
    cluster_arrive();
    cluster_wait();
  } else {
    __syncthreads();
  }

  const int32_t lane = static_cast<int32_t>(threadIdx.x) % 32;
  if (threadIdx.x < 128) {
    give_registers<P::kProducerRegisters>();
    if (threadIdx.x >= 32) {
      if constexpr (P::kPacks) {
        // The next sequence too: its blocks are the next to run.
        for (int32_t i = item.sequence; i < min(item.sequence + 2, batch.n); ++i) {
          if (!batch.sequences[i].packed) {
            pack_keys<T, kHeadDim, kInt8>(batch, i, item.kv_head, item.split, lane);
          }
        }
      }
      if constexpr (kCluster > 1) cluster_arrive();
    } else {
      const int32_t head_row = item.kv_head * s.capacity;
      PackedTiles<kHeadDim> packed_tiles(batch, s, item.kv_head, begin, end, lane);
      const auto fetch = [&](int32_t tile, int32_t first,
                             unsigned char(&to)[kStages][P::kTileBytes], Barrier(&full)[kStages],
                             Barrier(&empty)[kStages]) {
        const int32_t n = tile - begin, stage = n % kStages;
        if (lane == 0) {
          empty[stage].wait((n / kStages & 1) ^ 1);
          full[stage].arrive_expecting(P::kTileBytes);
          const int32_t row = first + head_row + tile * kKeys;
          if constexpr (kCluster == 1) {
            copy_box(to[stage], kv_map, 0, row, 0, full[stage]);
          } else {
            const auto half = static_cast<int32_t>(cluster_rank());
            copy_box_to(3, to[stage] + half * (P::kTileBytes / 2), kv_map, 0,
                        kHeadDim == 64 ? row + half * (kKeys / 2) : row, kHeadDim == 64 ? 0 : half,
                        full[stage]);
          }
        }
        __syncwarp();
      };
      for (int32_t tile = begin; tile <= end;
           ++tile) {  // the keys of a tile, the values of the one before
        if (tile < end) {
          packed_tiles.wait(tile);
          fetch(tile, s.k_row, shared.k, shared.k_full, shared.k_empty);
        }
        if (tile > begin) fetch(tile - 1, s.v_row, shared.v, shared.v_full, shared.v_empty);
      }
      if constexpr (kCluster > 1) {
        cluster_arrive();
        cluster_wait();
      }
    }
    return;
  }

  take_registers<P::kConsumerRegisters>();
  const int32_t warpgroup = static_cast<int32_t>(threadIdx.x) / 128 - 1;
  const int32_t warp = static_cast<int32_t>(threadIdx.x) % 128 / 32;
  // This thread's two rows.
  const int32_t rows[2] = {first_row + 64 * warpgroup + 16 * warp + lane / 4,
                           first_row + 64 * warpgroup + 16 * warp + lane / 4 + 8};
  const int32_t sees[2] = {min(before + rows[0] / group, scope),
                           min(before + rows[1] / group, scope)};

  float scores[kKeys / 2];
  uint32_t probabilities[kKeys / 4];
  float out[kHeadDim / 2];
#pragma unroll
  for (int i = 0; i < kHeadDim / 2; ++i) out[i] = 0;
  Softmax softmax;

  const uint64_t q_tile =
      tile_descriptor(shared_address(shared.q) + static_cast<uint32_t>(warpgroup) * 64 * 128, 0);
  const uint64_t k_tiles = tile_descriptor(shared_address(shared.k), 0);
  const uint64_t v_tiles = tile_descriptor(shared_address(shared.v), kKeys * 128);
  const auto multiply_keys = [&](int32_t stage) {  // starts scores = q · k
    const uint64_t k_tile = k_tiles + static_cast<uint64_t>(stage) * (P::kTileBytes >> 4);
#pragma unroll
    for (int i = 0; i < kHeadDim / 16; ++i) {
      const uint64_t q_at = i / 4 * (kRows * 128 >> 4) + i % 4 * (32 >> 4);
      const uint64_t k_at = i / 4 * (kKeys * 128 >> 4) + i % 4 * (32 >> 4);
      Wgmma<kKeys>::template shared<T>(scores, q_tile + q_at, k_tile + k_at, i > 0);
    }
    wgmma_commit();
  };
  const auto multiply_values = [&](int32_t stage) {  // starts out += p · v
    const uint64_t v_tile = v_tiles + static_cast<uint64_t>(stage) * (P::kTileBytes >> 4);
#pragma unroll
    for (int i = 0; i < kKeys / 16; ++i) {
      Wgmma<kHeadDim>::template registers<T>(out, probabilities + 4 * i, v_tile + i * (2048 >> 4));
    }
    wgmma_commit();
  };
  const auto mask = [&](int32_t tile) {
    const int32_t column = tile * kKeys + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < kKeys / 2; ++i) {
      if (column + i / 4 * 8 + i % 2 >= sees[i / 2 % 2]) scores[i] = -INFINITY;
    }
  };
  const auto pack = [&] {
#pragma unroll
    for (int i = 0; i < kKeys / 4; ++i) {
      probabilities[i] = packed<T>(scores[2 * i], scores[2 * i + 1]);
    }
  };
  const auto release = [&](Barrier& barrier) {
    __syncwarp();
    if constexpr (kCluster == 1) {
      if (lane == 0) barrier.arrive();
    } else {
      if (lane < kCluster) barrier.arrive_at(static_cast<uint32_t>(lane));
    }
  };
  // Scores of `tile` and the values of the tile before, one after the other for the matrix units, then the softmax. The assembler waits
  // for both products before the exponentials; holding that wait back was 4 % slower (why is not known).
  const auto step = [&](int32_t tile, auto masked) {
    const int32_t n = tile - begin, stage = n % kStages;
    const int32_t stage_before = (n - 1) % kStages;
    shared.k_full[stage].wait(n / kStages & 1);
    named_sync(1 + warpgroup, 256);  // this warpgroup's turn
    pin(scores);
    wgmma_fence();
    multiply_keys(stage);
    shared.v_full[stage_before].wait((n - 1) / kStages & 1);
    wgmma_fence();
    multiply_values(stage_before);
    named_arrive(1 + (warpgroup + 1) % P::kWarpgroups, 256);
    wgmma_wait<1>();
    pin(scores);
    release(shared.k_empty[stage]);
    if constexpr (decltype(masked)::value) mask(tile);
    softmax.take(scores);
    wgmma_wait<0>();
    pin(out);
    pin(probabilities);
    release(shared.v_empty[stage_before]);
    pack();
#pragma unroll
    for (int i = 0; i < kHeadDim / 2; ++i) out[i] *= softmax.keep[i / 2 % 2];
    pin(out);
    pin(probabilities);
  };

  if (begin < end) {
    place_queries<T, kHeadDim>(s.a, scope, item.kv_head, first_row + 64 * warpgroup,
                               shared.q + warpgroup * 64 * 128, kRows * 128,
                               static_cast<int32_t>(threadIdx.x) % 128);
    fence_proxy_async_shared();
    named_sync(1 + P::kWarpgroups + warpgroup, 128);
    shared.k_full[0].wait(0);
    wgmma_fence();
    multiply_keys(0);
    wgmma_wait<0>();
    pin(scores);
    release(shared.k_empty[0]);
    mask(begin);
    softmax.take(scores);
    pack();
    pin(out);
    pin(probabilities);

    // The first row of the block sees the least: whole tiles need no mask.
    const int32_t n_whole = min((before + first_row / group) / kKeys, end);
    if (warpgroup + 1 == P::kWarpgroups) named_arrive(1, 256);
    int32_t tile = begin + 1;
    for (; tile < n_whole; ++tile) step(tile, std::false_type());
    for (; tile < end; ++tile) step(tile, std::true_type());
    if (warpgroup == 0) named_sync(1, 256);

    const int32_t n = end - 1 - begin;
    shared.v_full[n % kStages].wait(n / kStages & 1);
    wgmma_fence();
    multiply_values(n % kStages);
    wgmma_wait<0>();
    pin(out);
  }

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float sum = softmax.sum[r];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    const int32_t row = rows[r];
    if (row >= n_rows) continue;
    float factor = 1;
    float* to;
    if (batch.n_splits == 1) {
      factor = 1 / sum;
      to = s.a.out +
           (int64_t{row / group} * s.a.n_heads + item.kv_head * group + row % group) * kHeadDim;
    } else {
      const int64_t part = int64_t{item.split} * batch.n_part_rows + s.part_row +
                           int64_t{item.kv_head} * n_rows + row;
      to = batch.part_out + part * kHeadDim;
      if (lane % 4 == 0) batch.part_norm[part] = make_float2(softmax.largest[r], sum);
    }
#pragma unroll
    for (int i = 0; i < kHeadDim / 8; ++i) {
      *reinterpret_cast<float2*>(to + 8 * i + 2 * (lane % 4)) =
          make_float2(out[4 * i + 2 * r] * factor, out[4 * i + 2 * r + 1] * factor);
    }
  }
  if constexpr (kCluster > 1) {  // the other block may still write here
    cluster_arrive();
    cluster_wait();
  }
#endif
}

// Puts the parts of a row together. A thread has 4 columns; blockIdx.y: sequence.
template <int kHeadDim>
__global__ void __launch_bounds__(256) sm90_combine_kernel(const __grid_constant__ Batch batch) {
  constexpr int kPerRow = kHeadDim / 4;
  const Sequence& s = batch.sequences[blockIdx.y];
  const int64_t thread = int64_t{blockIdx.x} * 256 + threadIdx.x;
  const int64_t row = thread / kPerRow;  // [n_kv_heads, n_queries, group]
  if (row >= s.a.n_queries * s.a.n_heads) return;
  const auto* norms = batch.part_norm + s.part_row + row;
  const auto* parts = reinterpret_cast<const float4*>(batch.part_out) +
                      (s.part_row + row) * kPerRow + thread % kPerRow;
  float largest = -INFINITY;
  for (int32_t i = 0; i < batch.n_splits; ++i) {
    largest = fmaxf(largest, norms[int64_t{i} * batch.n_part_rows].x);
  }
  float sum = 0;
  float4 out = make_float4(0, 0, 0, 0);
  for (int32_t i = 0; i < batch.n_splits; ++i) {
    const float2 norm = norms[int64_t{i} * batch.n_part_rows];
    const float4 part = parts[int64_t{i} * batch.n_part_rows * kPerRow];
    // A part may have seen nothing.
    const float weight = norm.x == -INFINITY ? 0.0f : exp2_approx(norm.x - largest);
    sum += weight * norm.y;
    out.x += weight * part.x;
    out.y += weight * part.y;
    out.z += weight * part.z;
    out.w += weight * part.w;
  }
  const int64_t group = s.a.n_heads / s.a.pages.n_kv_heads;
  const int64_t kv_head = row / (s.a.n_queries * group);
  const int64_t query = row / group % s.a.n_queries;
  const int64_t to = query * s.a.n_heads + kv_head * group + row % group;
  reinterpret_cast<float4*>(s.a.out)[to * kPerRow + thread % kPerRow] =
      make_float4(out.x / sum, out.y / sum, out.z / sum, out.w / sum);
}

}  // namespace reattn::kernels::cuda::sm90
