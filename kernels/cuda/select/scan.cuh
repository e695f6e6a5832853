// Device code of the scan for few queries. Keys are the rows of mma.sync and reach its fragments straight from memory, 16 bytes
// a lane: a dot product does not mind the order of its terms, as long as keys and queries agree on it.
#pragma once

#include <type_traits>

#include "kernels/cuda/prim/early_launch.cuh"
#include "kernels/cuda/select/pick_lists.cuh"
#include "kernels/cuda/select/scan_int8.cuh"
#include "kernels/cuda/select/scan_keys.cuh"
#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cuda {

constexpr int32_t kScanBatch = 48;     // sequences of one launch
constexpr int32_t kScanWarps = 8;
constexpr int32_t kScanThreads = kWarp * kScanWarps;

struct ScanSequence {
  void* const* k;        // [n_pages]
  void* const* k8;       // [n_pages]; may be null where int8_tiles is 0
  const float* q;        // [n_queries, n_heads, head_dim]
  int32_t* picks;        // [n_voters, n_heads, top_k]
  int32_t begin, end;    // the middle
  int32_t int8_tiles;    // of the cache: those are scored in int8, from k8
  int32_t first_tile;    // tiles of the sequences before this one
};

// The work is one list of tiles: sequence by sequence, unit by unit, tile by tile. A unit is a KV head and a block of columns, the
// pairs of a voter and a query head of that KV head. Block c of the grid takes the c-th of n_shares equal shares.
struct ScanBatch {
  ScanSequence sequences[kScanBatch];
  PickKey* partials;     // [n_shares + n_units, columns of a unit, top_k]: that of share c and unit u is number c + u
  int32_t n_sequences;
  int32_t n_shares;
  int32_t share_tiles;   // of a share, and one more in the first n_longer
  int32_t n_longer;
  int32_t n_queries, n_heads, n_kv_heads, group;
  int32_t n_columns;     // of a KV head: group · voters
  int32_t n_column_blocks;
  int32_t vote_stride, top_k;
};

__device__ inline int32_t share_begin(const ScanBatch& b, int32_t share) {
  return share * b.share_tiles + min(share, b.n_longer);
}
__device__ inline int32_t share_of(const ScanBatch& b, int32_t tile) {
  const int32_t in_longer = b.n_longer * (b.share_tiles + 1);
  return tile < in_longer ? tile / (b.share_tiles + 1)
                          : b.n_longer + (tile - in_longer) / b.share_tiles;
}

// kInt8: positions may be scored in int8, and most are; the others are read as well, if slowly.
template <DType kType, int kDim, int kNTiles, int kPerLane, bool kInt8>
struct Scan {
  using Int8 = ScanInt8<kDim, kNTiles>;
  static constexpr int kGroups = kDim / 32;        // of 32 dimensions: 16 bytes a lane, two products
  static constexpr bool kHasHalf = kDim % 32 != 0;  // and one of 16: 8 bytes a lane, one product
  static constexpr int kAtOnce = kInt8 || kDim > 128 ? 1 : kDim == 64 && kNTiles <= 2 ? 4 : 2;
  static constexpr int kMTiles = kInt8 ? Int8::kMTiles : kAtOnce;
  static constexpr int kKeys = 16 * kMTiles;       // of a tile
  static constexpr int kColumns = 8 * kNTiles;
  static constexpr int kSteps = kDim / 16;         // products over the dimensions
  static constexpr int kRowBytes = 2 * kDim;
  static constexpr bool kQInShared = kInt8 || kNTiles > 1;
  static constexpr int kMaxK = 8 * kPerLane;
  static constexpr int kBlocksPerSm = kNTiles == 1 && kDim <= 128 ? 2 : 1;

  // Column g of each tile of columns, as the lanes need it: two registers a step.
  struct Queries {
    uint32_t b[kQInShared ? 1 : kSteps][2];
  };
  struct ForInt8 {
    typename Int8::Shared int8;
  };
  struct Nothing {};
  struct Shared : std::conditional_t<kInt8, ForInt8, Nothing> {  // a base: nothing takes no room
    PickKey lists[kScanWarps][kColumns][kMaxK];
    uint2 q[kQInShared ? kNTiles * kSteps * kWarp : 1];
  };
  struct Unit {
    int32_t sequence, kv_head, column_block;
    int32_t begin, end;  // its tiles in the list
  };

  __device__ static Unit find_unit(const ScanBatch& b, int32_t tile) {
    Unit u;
    u.sequence = 0;
    for (int32_t i = 1; i < b.n_sequences; ++i) u.sequence += b.sequences[i].first_tile <= tile;
    const ScanSequence& s = b.sequences[u.sequence];
    const int32_t n_tiles = (s.end + kKeys - 1) / kKeys - s.begin / kKeys;
    const int32_t unit = (tile - s.first_tile) / n_tiles;
    u.kv_head = unit / b.n_column_blocks;
    u.column_block = unit % b.n_column_blocks;
    u.begin = s.first_tile + unit * n_tiles;
    u.end = u.begin + n_tiles;
    return u;
  }
  __device__ static int32_t unit_number(const ScanBatch& b, const Unit& u) {
    return (u.sequence * b.n_kv_heads + u.kv_head) * b.n_column_blocks + u.column_block;
  }

  // The query of a column; beyond the last column any will do, its scores are not looked at.
  __device__ static const float* query_of(const ScanBatch& b, const Unit& u, int32_t column) {
    column = min(column + u.column_block * kColumns, b.n_columns - 1);
    const int32_t query = b.n_queries - 1 - column / b.group * b.vote_stride;
    const int32_t head = u.kv_head * b.group + column % b.group;
    return b.sequences[u.sequence].q + (static_cast<int64_t>(query) * b.n_heads + head) * kDim;
  }
  // Where the four elements that lane t has of step `step` begin.
  __device__ static constexpr int32_t part_of(int step, int32_t t) {
    return step < 2 * kGroups ? step / 2 * 32 + 8 * t + step % 2 * 4 : kGroups * 32 + 4 * t;
  }

  __device__ static void load_queries(const ScanBatch& b, const Unit& u, Queries& q, Shared& shared) {
    const int32_t lane = threadIdx.x % kWarp;
    if constexpr (kQInShared) {
      for (int32_t i = threadIdx.x; i < kNTiles * kSteps * kWarp; i += kScanThreads) {
        const int32_t tile = i / kWarp / kSteps, of_lane = i % kWarp;
        const float4 four = *reinterpret_cast<const float4*>(
            query_of(b, u, 8 * tile + of_lane / 4) + part_of(i / kWarp % kSteps, of_lane % 4));
        shared.q[i] = make_uint2(pack<kType>(four.x, four.y), pack<kType>(four.z, four.w));
      }
      __syncthreads();
    } else {
      const float* from = query_of(b, u, lane / 4);
      float4 parts[kSteps];
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        parts[step] = *reinterpret_cast<const float4*>(from + part_of(step, lane % 4));
      }
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        q.b[step][0] = pack<kType>(parts[step].x, parts[step].y);
        q.b[step][1] = pack<kType>(parts[step].z, parts[step].w);
      }
    }
  }

  // acc[m][n]: keys 16 m + g and 16 m + 8 + g, columns 8 n + 2 t and 8 n + 2 t + 1.
  __device__ static void products(const char* rows, const Queries& q, const Shared& shared,
                                  float (&acc)[kMTiles][kNTiles][4]) {
#pragma unroll
    for (int m = 0; m < kMTiles; m += kAtOnce) some_products(rows + 16 * m * kRowBytes, q, shared, acc + m);
  }
  __device__ static void some_products(const char* rows, const Queries& q, const Shared& shared,
                                       float (*acc)[kNTiles][4]) {
    const int32_t lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
    const char* at = rows + g * kRowBytes;
    uint4 keys[kAtOnce][2][kGroups];
    uint2 half[kAtOnce][2];
#pragma unroll
    for (int m = 0; m < kAtOnce; ++m) {
#pragma unroll
      for (int i = 0; i < kGroups; ++i) {
        keys[m][0][i] = load_key(at + 16 * m * kRowBytes + 64 * i + 16 * t);
        keys[m][1][i] = load_key(at + (16 * m + 8) * kRowBytes + 64 * i + 16 * t);
      }
      if constexpr (kHasHalf) {
        half[m][0] = load_half_key(at + 16 * m * kRowBytes + 64 * kGroups + 8 * t);
        half[m][1] = load_half_key(at + (16 * m + 8) * kRowBytes + 64 * kGroups + 8 * t);
      }
    }
#pragma unroll
    for (int m = 0; m < kAtOnce; ++m) {
#pragma unroll
      for (int n = 0; n < kNTiles; ++n) {
#pragma unroll
        for (float& x : acc[m][n]) x = 0;
      }
    }
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int n = 0; n < kNTiles; ++n) {
        uint2 b;
        if constexpr (kQInShared) {
          b = shared.q[(n * kSteps + step) * kWarp + lane];
        } else {
          b = make_uint2(q.b[step][0], q.b[step][1]);
        }
#pragma unroll
        for (int m = 0; m < kAtOnce; ++m) {
          if (kHasHalf && step == kSteps - 1) {
            mma<kType>(acc[m][n], half[m][0].x, half[m][1].x, half[m][0].y, half[m][1].y, b.x, b.y);
          } else if (step % 2 == 0) {
            const uint4 &low = keys[m][0][step / 2], &high = keys[m][1][step / 2];
            mma<kType>(acc[m][n], low.x, high.x, low.y, high.y, b.x, b.y);
          } else {
            const uint4 &low = keys[m][0][step / 2], &high = keys[m][1][step / 2];
            mma<kType>(acc[m][n], low.z, high.z, low.w, high.w, b.x, b.y);
          }
        }
      }
    }
  }

  // Offers the tile's scores of column 8 n + 2 t + j to its list, best first, until none is better than the list's last.
  __device__ static void offer(float (&acc)[kMTiles][kNTiles][4], int n, int j, int32_t first,
                               int32_t top_k, ColumnList<kPerLane>& list, float& threshold) {
    const int32_t lane = threadIdx.x % kWarp, g = lane / 4;
    while (true) {
      float best = threshold;
      int32_t position = INT32_MAX;
#pragma unroll
      for (int i = 0; i < 2 * kMTiles; ++i) {
        const float score = acc[i / 2][n][j + 2 * (i % 2)];
        if (score > best) {
          best = score;
          position = first + 8 * i + g;
        }
      }
      if (!__any_sync(kAllLanes, position != INT32_MAX)) return;
      if (position == INT32_MAX) best = -INFINITY;
      const int32_t mine = position;
#pragma unroll
      for (int distance = 4; distance < kWarp; distance *= 2) {
        const float other = __shfl_xor_sync(kAllLanes, best, distance);
        const int32_t other_position = __shfl_xor_sync(kAllLanes, position, distance);
        if (other > best || (other == best && other_position < position)) {
          best = other;
          position = other_position;
        }
      }
      if (mine == position) {
#pragma unroll
        for (int i = 0; i < 2 * kMTiles; ++i) {
          if (first + 8 * i + g == mine) acc[i / 2][n][j + 2 * (i % 2)] = -INFINITY;
        }
      }
      list.insert(best, position, lane);
      const float last = list.last_score(top_k, lane);
      if (threshold != INFINITY) threshold = last;  // infinite where the column has no query
    }
  }

  // The same for an empty list of at most four, all at once.
  __device__ static void offer_first(float (&acc)[kMTiles][kNTiles][4], int n, int j, int32_t first,
                                     int32_t top_k, ColumnList<kPerLane>& list, float& threshold) {
    const int32_t lane = threadIdx.x % kWarp, g = lane / 4;
    PickKey best[4] = {};
#pragma unroll
    for (int half = 0; half < (kMTiles + 1) / 2; ++half) {
      PickKey four[4] = {};
#pragma unroll
      for (int i = 4 * half; i < 4 * half + 4 && i < 2 * kMTiles; ++i) {
        four[i % 4] = pick_key(acc[i / 2][n][j + 2 * (i % 2)], first + 8 * i + g);
      }
      order_four(four);
      join_four(best, four);
    }
    join_lanes<4>(best);
    const PickKey low = g % 2 == 0 ? best[0] : best[1], high = g % 2 == 0 ? best[2] : best[3];
    const PickKey mine = g >= top_k ? 0 : g < 2 ? low : high;
    list.score[0] = pick_score(mine);
    list.position[0] = pick_position(mine);
    const float last = list.last_score(top_k, lane);
    if (threshold != INFINITY) threshold = last;
  }

  // The best top_k of the block's warps, to the partial results.
  __device__ static void merge_warps(const ScanBatch& b, const Unit& u, Shared& shared,
                                     const ColumnList<kPerLane> (&lists)[kNTiles][2]) {
    const int32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int32_t g = lane / 4, t = lane % 4, k = b.top_k;
#pragma unroll
    for (int n = 0; n < kNTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) {
          shared.lists[warp][8 * n + 2 * t + j][8 * i + g] =
              pick_key(lists[n][j].score[i], lists[n][j].position[i]);
        }
      }
    }
    __syncthreads();
    const int32_t n_columns = min(kColumns, b.n_columns - u.column_block * kColumns);
    PickKey* out = b.partials + (static_cast<int64_t>(blockIdx.x) + unit_number(b, u)) * kColumns * k;
    for (int32_t item = threadIdx.x; item < n_columns * kScanWarps * k; item += kScanThreads) {
      const int32_t i = item % k, of_warp = item / k % kScanWarps, column = item / k / kScanWarps;
      const PickKey key = shared.lists[of_warp][column][i];
      int32_t rank = i;
      for (int32_t other = 0; other < k; ++other) {
#pragma unroll
        for (int32_t w = 0; w < kScanWarps; ++w) {
          const PickKey theirs = shared.lists[w][column][other];
          if (w != of_warp) rank += theirs > key || (theirs == key && w < of_warp);
        }
      }
      if (rank < k) out[column * k + rank] = key;
    }
    __syncthreads();
  }

  // Whether any sum of a column makes a better score than its threshold: scores ascend with sums.
  __device__ static bool is_any_better(const int32_t (&sums)[kMTiles][kNTiles][4],
                                       const float (&scales)[kNTiles][2],
                                       const float (&thresholds)[kNTiles][2]) {
    bool is_better = false;
#pragma unroll
    for (int n = 0; n < kNTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        int32_t most = sums[0][n][j];
#pragma unroll
        for (int i = 1; i < 2 * kMTiles; ++i) most = max(most, sums[i / 2][n][j + 2 * (i % 2)]);
        is_better |= static_cast<float>(most) * scales[n][j] > thresholds[n][j];
      }
    }
    return __any_sync(kAllLanes, is_better);
  }

  __device__ static void load_int8(const void* page, const Unit& u, int32_t n_kv_heads, int32_t tile,
                                   typename Int8::Keys& keys) {
    const uint32_t in_page = static_cast<uint32_t>(tile * kKeys) % kPageTokens;
    const int64_t row = u.kv_head * kPageTokens + in_page;
    Int8::load(static_cast<const char*>(page) + row * kDim,
               int8_scales(page, n_kv_heads, kDim) + int8_scale_index(u.kv_head, in_page), keys);
  }

  // The scores of a tile in int8; false: none is better than its threshold.
  __device__ static bool int8_scores(const typename Int8::Keys& keys, bool is_whole,
                                     const typename Int8::Queries& q, const Shared& shared,
                                     const float (&thresholds)[kNTiles][2],
                                     float (&acc)[kMTiles][kNTiles][4]) {
    int32_t sums[kMTiles][kNTiles][4];
    Int8::products(keys, q, shared.int8, sums);
    float scales[kNTiles][2];
#pragma unroll
    for (int n = 0; n < kNTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) scales[n][j] = keys.scale * q.scales[n][j];
    }
    if (is_whole && !is_any_better(sums, scales, thresholds)) return false;
#pragma unroll
    for (int i = 0; i < kMTiles * kNTiles * 4; ++i) {
      const int m = i / (4 * kNTiles), n = i / 4 % kNTiles;
      acc[m][n][i % 4] = static_cast<float>(sums[m][n][i % 4]) * scales[n][i % 2];
    }
    return true;
  }

  __device__ static void run(const ScanBatch& b, Shared& shared) {
    const int32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, t = lane % 4;
    const int32_t share_end = share_begin(b, blockIdx.x + 1);
    for (int32_t from = share_begin(b, blockIdx.x); from < share_end;) {
      const Unit u = find_unit(b, from);
      const ScanSequence& s = b.sequences[u.sequence];
      const int32_t end = min(u.end, share_end);
      const int32_t first_tile = s.begin / kKeys + (from - u.begin);
      const int32_t end_tile = s.begin / kKeys + (end - u.begin);
      const int32_t int8_tile = kInt8 ? min(s.int8_tiles, end_tile) : 0;  // one beyond the last
      constexpr int32_t kPageTiles = kPageTokens / kKeys;
      const auto page_of = [&](int32_t tile) -> const void* {
        return (tile < int8_tile ? s.k8 : s.k)[tile / kPageTiles];
      };
      int32_t tile = first_tile + warp;
      wait_for_previous();
      const void* page = page_of(min(tile, end_tile - 1));
      std::conditional_t<kInt8, typename Int8::Queries, std::nullptr_t> q8;
      // Keys in int8 are loaded a tile ahead: half the bytes of a tile are not enough to keep the memory busy.
      std::conditional_t<kInt8, typename Int8::Keys, std::nullptr_t> next8;
      if constexpr (kInt8) {
        if (tile < int8_tile) {
          load_int8(page, u, b.n_kv_heads, tile, next8);
          if (tile + kScanWarps < end_tile) page = page_of(tile + kScanWarps);
        }
        if (first_tile < int8_tile) {
          Int8::load_queries([&](int32_t column) { return query_of(b, u, column); }, q8, shared.int8);
        }
      }
      Queries q;
      if (!kInt8 || int8_tile < end_tile) load_queries(b, u, q, shared);
      ColumnList<kPerLane> lists[kNTiles][2];
      float thresholds[kNTiles][2];
#pragma unroll
      for (int n = 0; n < kNTiles; ++n) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          lists[n][j].clear();
          const int32_t column = u.column_block * kColumns + 8 * n + 2 * t + j;
          thresholds[n][j] = column < b.n_columns ? -INFINITY : INFINITY;
        }
      }
      for (; tile < end_tile; tile += kScanWarps) {
        const int32_t first = tile * kKeys;
        const bool is_whole = first >= s.begin && first + kKeys <= s.end;
        float acc[kMTiles][kNTiles][4];
        bool is_int8 = false;
        if constexpr (kInt8) {
          is_int8 = tile < int8_tile;
          if (is_int8) {
            const typename Int8::Keys keys = next8;
            if (tile + kScanWarps < int8_tile) {
              load_int8(page, u, b.n_kv_heads, tile + kScanWarps, next8);
              if (tile + 2 * kScanWarps < end_tile) page = page_of(tile + 2 * kScanWarps);
            }
            if (!int8_scores(keys, is_whole, q8, shared, thresholds, acc)) continue;
          }
        }
        if (!is_int8) {
          const void* of_tile = page;
          if (tile + kScanWarps < end_tile) page = page_of(tile + kScanWarps);
          const int64_t row = u.kv_head * kPageTokens + first % kPageTokens;
          products(static_cast<const char*>(of_tile) + row * kRowBytes, q, shared, acc);
        }
        if (!is_whole) {
#pragma unroll
          for (int i = 0; i < 2 * kMTiles; ++i) {
            const int32_t position = first + 8 * i + lane / 4;
            if (position >= s.begin && position < s.end) continue;
#pragma unroll
            for (int n = 0; n < kNTiles; ++n) {
              acc[i / 2][n][2 * (i % 2)] = acc[i / 2][n][2 * (i % 2) + 1] = -INFINITY;
            }
          }
        }
        bool is_better = false;
#pragma unroll
        for (int n = 0; n < kNTiles; ++n) {
#pragma unroll
          for (int j = 0; j < 2; ++j) {
#pragma unroll
            for (int i = 0; i < 2 * kMTiles; ++i) {
              is_better |= acc[i / 2][n][j + 2 * (i % 2)] > thresholds[n][j];
            }
          }
        }
        if (!__any_sync(kAllLanes, is_better)) continue;
        const bool all_at_once = b.top_k <= 4 && tile == first_tile + warp;
#pragma unroll
        for (int n = 0; n < kNTiles; ++n) {
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            if (all_at_once) {
              offer_first(acc, n, j, first, b.top_k, lists[n][j], thresholds[n][j]);
            } else {
              offer(acc, n, j, first, b.top_k, lists[n][j], thresholds[n][j]);
            }
          }
        }
      }
      merge_warps(b, u, shared, lists);
      from = end;
    }
  }
};

}  // namespace reattn::kernels::cuda
