// Scoring on Hopper: 16-bit pages, head_dim 64 or 128. Keys come by TMA, scores are born in the accumulators of wgmma and die
// there: only each row's running picks leave the block.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/prim/async.cuh"
#include "kernels/cuda/prim/wgmma.cuh"
#include "kernels/cuda/select/score_epilogue.cuh"
#include "kernels/cuda/select/score_item.cuh"
#include "kernels/cuda/select/score_queue.cuh"

namespace reattn::kernels::cuda {
namespace sm90_score {

constexpr int32_t kPanel = 64;  // elements of a swizzled row of 128 bytes
constexpr int32_t kStageRoom = 98304;
constexpr int32_t kHearTiles = 8;  // so often picks by way of queues hear of the other splits, but in the first tiles
constexpr int32_t kGroups = 3;  // queries, scores and picks are held in registers: no more warpgroups fit

template <class T, int32_t kDim_, int32_t kGroups_, int kPicks_, bool kBlock1_>
struct Config {
  using Element = T;
  static constexpr int32_t kDim = kDim_;
  static constexpr int32_t kGroups = kGroups_;     // warpgroups of 64 rows
  static constexpr int kPicks = kPicks_;            // room for them: 1, 4 or 16
  static constexpr bool kBlock1 = kBlock1_;
  static constexpr bool kQueued = kPicks == 4 && !kBlock1;  // picks by way of queues
  static constexpr uint32_t kRoom = kQueued ? kQueueRoom : kWarpRoom;
  static constexpr int32_t kRows = 64 * kGroups;
  static constexpr int32_t kThreads = 128 * (kGroups + 1);  // the last warpgroup fetches
  static constexpr int kRegisters = kGroups == 3 ? 160 : 112, kFetchRegisters = 32;  // sum to what a launch gives
  static constexpr int32_t kBoxRows = kBlock1 ? 32 : kScoreTile;  // a block may straddle pages, at multiples of 32
  static constexpr uint32_t kPanelBytes = kScoreTile * kPanel * 2;
  static constexpr uint32_t kStageBytes = kPanelBytes * (kDim / kPanel);
  static constexpr uint32_t kStages = kStageRoom / kStageBytes;
  static constexpr size_t kShared = kStages * (kStageBytes + 16) + 4 * kGroups * kRoom + 1024;
};

}  // namespace sm90_score
namespace {
using namespace sm90_score;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Where a stage of the ring stands.
template <class C>
struct Ring {
  uint32_t stage = 0, parity = 0;
  __device__ void advance() {
    if (++stage == C::kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

template <class C>
struct Shared {
  uint32_t base;
  __device__ uint32_t keys(uint32_t stage) const { return base + stage * C::kStageBytes; }
  __device__ uint32_t warp_room(uint32_t warp) const { return keys(C::kStages) + warp * C::kRoom; }
  __device__ uint32_t full(uint32_t stage) const { return warp_room(4 * C::kGroups) + 16 * stage; }
  __device__ uint32_t empty(uint32_t stage) const { return full(stage) + 8; }
};

template <class C>
__device__ void fetch_keys(const CUtensorMap& map, const std::byte* memory, const ScoreSequence& s,
                           const ScoreItem& item, Shared<C> shared) {
  Ring<C> ring;
  int32_t page = -1, page_row = 0;
  for (int32_t tile = item.tile; tile < item.tile_end; ++tile) {
    mbarrier_wait(shared.empty(ring.stage), ring.parity ^ 1);
    mbarrier_arrive_expect(shared.full(ring.stage), C::kStageBytes);
    const int32_t start = s.origin + tile * kScoreTile;
#pragma unroll
    for (int32_t box = 0; box < kScoreTile; box += C::kBoxRows) {
      int32_t position = start + box;
      if (position >= s.end) position = start;  // there may be no such page; nobody looks at these keys
      if (position / static_cast<int32_t>(kPageTokens) != page) {
        page = position / static_cast<int32_t>(kPageTokens);
        const auto* at = static_cast<const std::byte*>(s.pages[page]);
        page_row = static_cast<int32_t>((at - memory) / (2 * C::kDim)) +
                   item.kv_head * static_cast<int32_t>(kPageTokens);
      }
      const int32_t row = page_row + position % static_cast<int32_t>(kPageTokens);
#pragma unroll
      for (int32_t panel = 0; panel < C::kDim / kPanel; ++panel) {
        tma_load(shared.keys(ring.stage) + static_cast<uint32_t>(panel) * C::kPanelBytes +
                     static_cast<uint32_t>(box) * 2 * kPanel,
                 map, panel * kPanel, row, shared.full(ring.stage));
      }
    }
    ring.advance();
  }
}

__device__ inline uint32_t packed(float2 x, const __half*) {
  const __half2 h = __float22half2_rn(x);
  return reinterpret_cast<const uint32_t&>(h);
}
__device__ inline uint32_t packed(float2 x, const __nv_bfloat16*) {
  const __nv_bfloat162 h = __float22bfloat162_rn(x);
  return reinterpret_cast<const uint32_t&>(h);
}

// The lane's part of the queries, as wgmma wants A: of rows `row` and `row` + 8.
template <class C>
__device__ void load_queries(uint32_t (&q)[C::kDim / 16][4], const ScoreSequence& s, int32_t kv_head,
                             int32_t row, uint32_t lane) {
#pragma unroll
  for (int32_t half = 0; half < 2; ++half) {
    const bool there = row + 8 * half < s.n_rows;
    const float* from = there ? score_query(s, kv_head, row + 8 * half) + 2 * (lane % 4) : nullptr;
#pragma unroll
    for (int32_t step = 0; step < C::kDim / 16; ++step) {
#pragma unroll
      for (int32_t part = 0; part < 2; ++part) {
        float2 x = {0, 0};
        if (there) x = *reinterpret_cast<const float2*>(from + 16 * step + 8 * part);
        q[step][2 * part + half] = packed(x, static_cast<const typename C::Element*>(nullptr));
      }
    }
  }
}

template <class C>
__device__ auto make_picks(const ScoreSequence& s, const ScoreItem& item, int32_t row, uint32_t room,
                           uint32_t lane) {
  const bool row0 = row < s.n_rows, row8 = row + 8 < s.n_rows;
  if constexpr (C::kQueued) {
    return QueuedPicks(row0, row8, room, lane, {s.origin, s.begin, s.end}, item.tile);
  } else {
    return RunningPicks<C::kPicks, C::kBlock1>(row0, row8, room, lane, s.top_k);
  }
}

// One warpgroup of `n_groups` that compute: it scores its 64 rows against every tile.
template <class C>
__device__ void score_rows(const ScoreSequence& s, const ScoreItem& item, Shared<C> shared,
                           uint32_t group) {
  const uint32_t thread = threadIdx.x % 128, lane = thread % 32;
  const int32_t row = item.row + static_cast<int32_t>(64 * group + thread / 32 * 16 + lane / 4);
  uint32_t q[C::kDim / 16][4];
  load_queries<C>(q, s, item.kv_head, row, lane);
  auto picks = make_picks<C>(s, item, row, shared.warp_room(threadIdx.x / 32), lane);

  // Rows that are not there hear what concerns another, and tell nothing.
  uint32_t* told = s.thresholds == nullptr ? nullptr : s.thresholds + static_cast<int64_t>(item.kv_head) * s.n_rows * 4 + lane % 4;
  const int32_t last_row = s.n_rows - 1;
  const auto tell_others = [&](uint32_t half, float known) {
    const int32_t to = row + static_cast<int32_t>(8 * half);
    if (told != nullptr && to < s.n_rows) tell(told + 4 * static_cast<int64_t>(to), known);
  };
  const auto take = [&](int32_t tile) {  // of those before `tile`
    if constexpr (C::kQueued) {
      picks.take(tile, tell_others);
    } else {
      const int32_t start = s.origin + (tile - 1) * kScoreTile;
      picks.take(TileKeys{start, s.begin, s.end, start < s.begin || start + kScoreTile > s.end}, tell_others);
    }
  };
  const auto look = [&](const float (&d)[32], int32_t tile, uint32_t half) {
    if constexpr (C::kQueued) {
      picks.look(d, tile, half);
    } else {
      picks.look(d, half);
    }
  };
  // The halves of a tile are two products: while the second runs, the first's scores are looked through. (To keep one under way at all
  // times, from one tile to the next, is what ptxas cannot follow: it would wait for each wgmma, C7514.)
  constexpr int32_t kHalf = kScoreTile / 2;
  const auto multiply = [&](float (&d)[32], uint32_t stage, uint32_t half) {
    const uint64_t keys = swizzled_rows(shared.keys(stage) + half * kHalf * 2 * kPanel);
    pin(d);
    wgmma_fence();
#pragma unroll
    for (int32_t step = 0; step < C::kDim / 16; ++step) {
      const uint64_t at = keys + static_cast<uint64_t>(step / 4) * (C::kPanelBytes / 16) + 2 * (step % 4);
      if (step == 0) {
        wgmma_m64n64k16<typename C::Element, false>(d, q[step], at);
      } else {
        wgmma_m64n64k16<typename C::Element, true>(d, q[step], at);
      }
    }
    wgmma_commit();
  };
  Ring<C> ring;
  float first[32], second[32];
  uint32_t heard0 = 0, heard8 = 0;
  bool hearing = false;
  if constexpr (C::kQueued) {
    if (told != nullptr) {
      picks.hear_first(heard(told + 4 * static_cast<int64_t>(min(row, last_row))),
                       heard(told + 4 * static_cast<int64_t>(min(row + 8, last_row))));
    }
  }
  for (int32_t tile = item.tile; tile < item.tile_end; ++tile) {
    mbarrier_wait(shared.full(ring.stage), ring.parity);
    multiply(first, ring.stage, 0);
    multiply(second, ring.stage, 1);
    const int32_t n_before = tile - item.tile;
    if constexpr (C::kQueued) {
      if (hearing) picks.hear(heard0, heard8);
      hearing = told != nullptr && (n_before % kHearTiles == 0 || n_before < kHearTiles);
    } else {
      hearing = told != nullptr;
    }
    if (hearing) {
      heard0 = heard(told + 4 * static_cast<int64_t>(min(row, last_row)));
      heard8 = heard(told + 4 * static_cast<int64_t>(min(row + 8, last_row)));
    }
    take(tile);
    wgmma_wait<1>();
    pin(first);
    look(first, tile, 0);
    if constexpr (C::kQueued) {
      take(tile);
      if (n_before < 16 && (n_before & (n_before - 1)) == 0) picks.tell_known(tell_others);
    } else {
      picks.hear(heard0, heard8);
    }
    wgmma_wait<0>();
    pin(second);
    if (lane == 0) mbarrier_arrive(shared.empty(ring.stage));
    ring.advance();
    look(second, tile, 1);
  }
  if constexpr (C::kQueued) {
    picks.pick(item.tile_end, tell_others);
  } else {
    take(item.tile_end);
  }

  const auto store = [&](const auto& list, int32_t to) {
    constexpr int32_t kSlots = sizeof(list) / sizeof(Pick);
#pragma unroll
    for (int32_t slot = 0; slot < kSlots; ++slot) {
      const int32_t rank = static_cast<int32_t>(lane % 4) * kSlots + slot;
      if (rank < s.top_k && to < s.n_rows) store_pick(s, item, to, rank, list.at(slot));
    }
  };
  store(picks.picks(0), row);
  store(picks.picks(1), row + 8);
}

#endif

template <class C>
__global__ void __launch_bounds__(C::kThreads, 1)
    sm90_score_kernel(const __grid_constant__ CUtensorMap map, const std::byte* memory,
                      const __grid_constant__ ScoreBatch batch) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte room[];
  const Shared<C> shared{(shared_address(room) + 1023) / 1024 * 1024};
  const ScoreItem item(batch, static_cast<int32_t>(blockIdx.x), C::kRows);
  const ScoreSequence& s = batch.sequences[item.sequence];
  // Warpgroups with no row of their own have nothing to do.
  const uint32_t n_groups = static_cast<uint32_t>(min(C::kGroups, (s.n_rows - item.row + 63) / 64));
  if (threadIdx.x == 0) {
    for (uint32_t stage = 0; stage < C::kStages; ++stage) {
      mbarrier_init(shared.full(stage), 1);
      mbarrier_init(shared.empty(stage), 4 * n_groups);
    }
    mbarrier_init_fence();
    tensor_map_prefetch(map);
  }
  __syncthreads();
  const uint32_t group = threadIdx.x / 128;
  if (group == C::kGroups) {
    give_registers<C::kFetchRegisters>();
    if (threadIdx.x % 128 == 0) fetch_keys<C>(map, memory, s, item, shared);
  } else {
    take_registers<C::kRegisters>();
    if (group < n_groups) score_rows<C>(s, item, shared, group);
  }
#endif
}

template <class C>
void launch_config(Context& ctx, const ScoreBatch& batch) {
  static const cudaError_t set = cudaFuncSetAttribute(
      sm90_score_kernel<C>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(C::kShared));
  check(set, "cudaFuncSetAttribute");
  const CUtensorMap map = ctx.rows_map(batch.dtype, C::kDim, C::kBoxRows, kPanel);
  const auto n = static_cast<uint32_t>(batch.items_per_head * batch.sequences[0].n_kv_heads);
  sm90_score_kernel<C><<<n, C::kThreads, C::kShared, ctx.stream>>>(map, ctx.memory.base(), batch);
  check_launch("sm90_score_kernel");
}

template <class T, int32_t kDim, bool kBlock1>
void launch_shape(Context& ctx, const ScoreBatch& batch) {
  const int32_t top_k = batch.sequences[0].top_k;
  if (top_k == 1 && !kBlock1) {
    launch_config<Config<T, kDim, kGroups, 1, kBlock1>>(ctx, batch);
  } else if (top_k <= 4) {
    launch_config<Config<T, kDim, kGroups, 4, kBlock1>>(ctx, batch);
  } else {
    launch_config<Config<T, kDim, kGroups, 16, kBlock1>>(ctx, batch);
  }
}

template <class T>
void launch(Context& ctx, const ScoreBatch& batch) {
  if (batch.sequences[0].head_dim == 64) {
    batch.block1 ? launch_shape<T, 64, true>(ctx, batch) : launch_shape<T, 64, false>(ctx, batch);
  } else {
    batch.block1 ? launch_shape<T, 128, true>(ctx, batch) : launch_shape<T, 128, false>(ctx, batch);
  }
}

}  // namespace

bool fits_score_sm90(const Context& ctx, const ScoreArgs& a) {
  return ctx.has_sm90a && (a.pages.dtype == DType::kF16 || a.pages.dtype == DType::kBF16) &&
         (a.pages.head_dim == 64 || a.pages.head_dim == 128) &&
         (!a.block1 || a.middle_begin % 32 == 0) && reinterpret_cast<uintptr_t>(a.q) % 8 == 0;
}

int32_t score_sm90_rows(const ScoreArgs&) { return 64 * kGroups; }

void launch_score_sm90(Context& ctx, const ScoreBatch& batch) {
  if (batch.dtype == DType::kF16) {
    launch<__half>(ctx, batch);
  } else {
    launch<__nv_bfloat16>(ctx, batch);
  }
}

}  // namespace reattn::kernels::cuda
