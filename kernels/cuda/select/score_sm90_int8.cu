// Scoring in int8 on Hopper: head_dim 64 or 128. As score_sm90.cu, with keys of int8 pages: their products take half the time, their
// sums are exact integers. A tile's key scales come with its keys.
#include <algorithm>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/prim/async.cuh"
#include "kernels/cuda/prim/int8.cuh"
#include "kernels/cuda/prim/wgmma_int8.cuh"
#include "kernels/cuda/select/score_int8_queue.cuh"
#include "kernels/cuda/select/score_item.cuh"

namespace reattn::kernels::cuda {
namespace sm90_score_int8 {

// Whether picks go through queues.
constexpr bool queued(int32_t top_k, bool block1) { return top_k <= 4 && !block1; }
// Warpgroups of 64 rows. For short rows it is the looking through that takes the time, and four hide more of it; all else wants the
// registers.
constexpr int32_t groups(int32_t head_dim, int32_t top_k, bool block1) {
  return head_dim == 64 && queued(top_k, block1) ? 4 : 3;
}
constexpr uint32_t kSharedMost = 232448;  // what a block may have

template <int32_t kDim_, int kPicks_, bool kBlock1_>
struct Config {
  static constexpr int32_t kDim = kDim_;
  static constexpr int kPicks = kPicks_;  // room for them: 1, 4 or 16
  static constexpr bool kBlock1 = kBlock1_;
  static constexpr bool kQueued = queued(kPicks, kBlock1);
  static constexpr int32_t kGroups = groups(kDim, kPicks, kBlock1);
  static constexpr uint32_t kRoom = kQueued ? kSumRoom : kWarpRoom;  // of a warp
  static constexpr int32_t kRows = 64 * kGroups;
  static constexpr int32_t kThreads = 128 * (kGroups + 1);  // the last warpgroup fetches
  // They sum to what a launch gives.
  static constexpr int kRegisters = kGroups == 3 ? 160 : 112, kFetchRegisters = 32;
  // A block may straddle pages, at multiples of 32.
  static constexpr int32_t kBoxRows = kBlock1 ? 32 : kScoreTile;
  static constexpr uint32_t kStageBytes = kScoreTile * kDim;
  static constexpr uint32_t kScaleBytes = kBlock1 ? 32 : 16;  // of a page's four blocks, of one or two pages
  static constexpr uint32_t kStageRoom = kStageBytes + kScaleBytes + 16;
  static constexpr uint32_t kFixedRoom = 4 * kGroups * kRoom + 1024;
  static constexpr uint32_t kStages = std::min(8U, (kSharedMost - kFixedRoom) / kStageRoom);
  static constexpr size_t kShared = kStages * kStageRoom + kFixedRoom;
};

}  // namespace sm90_score_int8
namespace {
using namespace sm90_score_int8;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr int32_t kPage = static_cast<int32_t>(kPageTokens);
constexpr int32_t kTwice = 4;     // tiles that are gone through twice
constexpr int32_t kSettled = 32;  // tiles with news of other splits in each; then in every kHear'th
constexpr int32_t kHear = 4;

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
  __device__ uint32_t scales(uint32_t stage) const {
    return warp_room(4 * C::kGroups) + C::kScaleBytes * stage;
  }
  __device__ uint32_t full(uint32_t stage) const { return scales(C::kStages) + 16 * stage; }
  __device__ uint32_t empty(uint32_t stage) const { return full(stage) + 8; }
};

// How many tiles are gone through twice, and which one is the step'th since the second time began.
template <class C>
__device__ inline int32_t n_twice(const ScoreItem& item) {
  return C::kQueued ? min(kTwice, (item.tile_end - item.tile) / 4) : 0;
}
template <class C>
__device__ inline int32_t tile_of(const ScoreItem& item, int32_t step) {
  return item.tile + (step < 0 ? step + n_twice<C>(item) : step);
}

// The last of a tile's keys that are there.
__device__ inline int32_t last_key(const ScoreSequence& s, int32_t start) {
  return min(start + kScoreTile, s.end) - 1;
}

template <class C>
__device__ void fetch_keys(const CUtensorMap& map, const std::byte* memory, const ScoreSequence& s,
                           const ScoreItem& item, Shared<C> shared) {
  Ring<C> ring;
  int32_t page = -1, page_line = 0;
  const std::byte* scales = nullptr;  // of the page's four blocks
  const auto go_to = [&](int32_t position) {
    if (position / kPage == page) return;
    page = position / kPage;
    const auto* at = static_cast<const std::byte*>(s.pages8[page]);
    page_line = static_cast<int32_t>((at - memory) / 128) + item.kv_head * (kPage * C::kDim / 128);
    scales = reinterpret_cast<const std::byte*>(int8_scales(at, s.n_kv_heads, C::kDim) +
                                                int8_scale_index(item.kv_head, 0));
  };
  for (int32_t step = -n_twice<C>(item); item.tile + step < item.tile_end; ++step) {
    const int32_t tile = tile_of<C>(item, step);
    mbarrier_wait(shared.empty(ring.stage), ring.parity ^ 1);
    mbarrier_arrive_expect(shared.full(ring.stage), C::kStageBytes + C::kScaleBytes);
    const int32_t start = s.origin + tile * kScoreTile;
#pragma unroll
    for (int32_t box = 0; box < kScoreTile; box += C::kBoxRows) {
      int32_t position = start + box;
      if (position >= s.end) position = start;  // there may be no such page; nobody looks at these keys
      go_to(position);
      if (box == 0) bulk_load(shared.scales(ring.stage), scales, 16, shared.full(ring.stage));
      tma_load(shared.keys(ring.stage) + static_cast<uint32_t>(box * C::kDim), map, 0, 0,
               page_line + position % kPage * C::kDim / 128, shared.full(ring.stage));
    }
    if constexpr (C::kBlock1) {
      go_to(last_key(s, start));
      bulk_load(shared.scales(ring.stage) + 16, scales, 16, shared.full(ring.stage));
    }
    ring.advance();
  }
}

// The scales of a tile's keys.
template <class C>
__device__ SumScales<C::kBlock1> key_scales(const ScoreSequence& s, int32_t tile, uint32_t at) {
  constexpr uint32_t kBlock = static_cast<uint32_t>(kScaleBlock), kBlocks = kPage / kBlock;  // of a page
  const auto load = [](uint32_t from) {
    float scale;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(scale) : "r"(from) : "memory");
    return scale;
  };
  if constexpr (!C::kBlock1) {  // tiles are blocks
    const uint32_t block = static_cast<uint32_t>(s.origin) / kBlock + static_cast<uint32_t>(tile);
    const float scale = load(at + 4 * (block % kBlocks));
    return {scale, scale, 4};
  }
  const int32_t start = s.origin + tile * kScoreTile;
  const auto begin = static_cast<uint32_t>(start), last = static_cast<uint32_t>(last_key(s, start));
  const float first = load(at + 4 * (begin / kBlock % kBlocks));
  const float second = load(at + 16 + 4 * (last / kBlock % kBlocks));
  return {first, second, (kBlock - begin % kBlock) / 32};
}

// x / scale as int8, four in a word, without divisions: false where they might round otherwise, a quotient being nearly a tie.
template <int kN>
__device__ bool rounded_surely(uint32_t (&words)[kN], const float4 (&x)[kN], float scale) {
  // 1.5 · 2^23: a sum's last digits are the integer, its last byte the int8.
  constexpr float kInteger = 12582912.0F;
  const float inverse = __frcp_rn(scale);
  bool sure = scale > 1e-30F && scale < 1e30F;
  const auto byte = [&](float number) {
    const float sum = fmaf(number, inverse, kInteger);
    sure &= fabsf(fmaf(number, inverse, kInteger - sum)) < 0.49998F;  // errors are below 1.2e-5
    return __float_as_uint(sum);
  };
#pragma unroll
  for (int i = 0; i < kN; ++i) {
    words[i] = __byte_perm(__byte_perm(byte(x[i].x), byte(x[i].y), 0x0040),
                           __byte_perm(byte(x[i].z), byte(x[i].w), 0x0040), 0x5410);
  }
  return sure;
}

// The lane's part of the queries in int8, as wgmma wants A: of rows `row` and `row` + 8, and their scales. All lanes call it.
template <class C>
__device__ void load_queries(uint32_t (&q)[C::kDim / 32][4], float (&scale)[2], const ScoreSequence& s,
                             int32_t kv_head, int32_t row, uint32_t lane) {
#pragma unroll
  for (int32_t half = 0; half < 2; ++half) {
    const bool there = row + 8 * half < s.n_rows;
    const float* from = there ? score_query(s, kv_head, row + 8 * half) + 4 * (lane % 4) : nullptr;
    float4 x[C::kDim / 16];
    float most = 0;
#pragma unroll
    for (int32_t i = 0; i < C::kDim / 16; ++i) {
      x[i] = there ? *reinterpret_cast<const float4*>(from + 16 * i) : float4{0, 0, 0, 0};
      const float a = fmaxf(fabsf(x[i].x), fabsf(x[i].y)), b = fmaxf(fabsf(x[i].z), fabsf(x[i].w));
      most = fmaxf(most, fmaxf(a, b));
    }
    most = fmaxf(most, __shfl_xor_sync(~0U, most, 1));
    most = fmaxf(most, __shfl_xor_sync(~0U, most, 2));
    scale[half] = int8_scale(most);
    uint32_t words[C::kDim / 16];
    if (!rounded_surely(words, x, scale[half])) {
      const auto byte = [&](float number, int32_t at) {
        return (static_cast<uint32_t>(to_int8(number, scale[half])) & 0xffU) << 8 * at;
      };
#pragma unroll
      for (int32_t i = 0; i < C::kDim / 16; ++i) {
        words[i] = byte(x[i].x, 0) | byte(x[i].y, 1) | byte(x[i].z, 2) | byte(x[i].w, 3);
      }
    }
#pragma unroll
    for (int32_t i = 0; i < C::kDim / 16; ++i) q[i / 2][2 * (i % 2) + half] = words[i];
  }
}

template <class C>
__device__ auto make_picks(const ScoreSequence& s, int32_t row, uint32_t room, uint32_t lane) {
  const bool row0 = row < s.n_rows, row8 = row + 8 < s.n_rows;
  if constexpr (C::kQueued) {
    return QueuedSumPicks<C::kPicks>(row0, row8, room, lane, s.begin, s.end);
  } else {
    return RunningSumPicks<C::kPicks, C::kBlock1>(row0, row8, room, lane, s.top_k);
  }
}

// One warpgroup of `n_groups` that compute: it scores its 64 rows against every tile.
template <class C>
__device__ void score_rows(const ScoreSequence& s, const ScoreItem& item, Shared<C> shared,
                           uint32_t group) {
  const uint32_t thread = threadIdx.x % 128, lane = thread % 32;
  const int32_t row = item.row + static_cast<int32_t>(64 * group + thread / 32 * 16 + lane / 4);
  uint32_t q[C::kDim / 32][4];
  float q_scale[2];
  load_queries<C>(q, q_scale, s, item.kv_head, row, lane);
  auto picks = make_picks<C>(s, row, shared.warp_room(threadIdx.x / 32), lane);

  // What the lane tells and hears of a row. Rows that are not there hear what concerns another, and tell nothing.
  const auto told = [&](int32_t to) {
    const int64_t at = static_cast<int64_t>(item.kv_head) * s.n_rows + min(to, s.n_rows - 1);
    return s.thresholds + 4 * at + lane % 4;
  };
  SumScales<C::kBlock1> scales0{}, scales8{};
  const auto tell_others = [&](uint32_t half, float known) {
    const int32_t to = row + static_cast<int32_t>(8 * half);
    if (s.thresholds != nullptr && to < s.n_rows) tell(told(to), known);
  };
  const auto take = [&](int32_t tile) {  // from those before `tile`
    if constexpr (C::kQueued) {
      picks.take(tell_others);
    } else {
      if (!picks.parked()) return;
      const int32_t start = s.origin + (tile - 1) * kScoreTile;
      picks.take(TileKeys{start, s.begin, s.end, start < s.begin || start + kScoreTile > s.end}, scales0,
                 scales8, tell_others);
    }
  };
  // The halves of a tile are two products: while the second runs, the first's sums are looked through.
  constexpr uint32_t kHalf = kScoreTile / 2 * C::kDim;
  const uint64_t all_keys = swizzled_byte_rows<C::kDim>(shared.keys(0));
  const auto multiply = [&](int32_t (&d)[32], uint32_t stage, uint32_t half) {
    const uint32_t low = static_cast<uint32_t>(all_keys) + (stage * C::kStageBytes + half * kHalf) / 16;
    const uint64_t keys = (all_keys >> 32 << 32) | low;
    pin(d);
    wgmma_fence();
    wgmma_m64n64k32<false>(d, q[0], keys);
#pragma unroll
    for (int32_t step = 1; step < C::kDim / 32; ++step) {
      wgmma_m64n64k32<true>(d, q[step], keys + 2 * step);
    }
    wgmma_commit();
  };
  Ring<C> ring;
  int32_t d[2][32];
  for (int32_t step = -n_twice<C>(item); item.tile + step < item.tile_end; ++step) {
    const int32_t tile = tile_of<C>(item, step);
    if constexpr (C::kQueued) {
      if (step == 0) picks.settle(tell_others);
    }
    mbarrier_wait(shared.full(ring.stage), ring.parity);
    multiply(d[0], ring.stage, 0);
    multiply(d[1], ring.stage, 1);
    // News is rare once the lists have settled.
    const bool hear = s.thresholds != nullptr && (step < kSettled || step % kHear == 0);
    uint32_t heard0 = 0, heard8 = 0;
    if (hear) {
      heard0 = heard(told(row));
      heard8 = heard(told(row + 8));
    }
    take(tile);
    const SumScales<C::kBlock1> scales = key_scales<C>(s, tile, shared.scales(ring.stage));
    scales0 = scales.times(q_scale[0]);
    scales8 = scales.times(q_scale[1]);
    wgmma_wait<1>();
    pin(d[0]);
    const auto release = [&] {
      pin(d[1]);
      if (lane == 0) mbarrier_arrive(shared.empty(ring.stage));
      ring.advance();
    };
    if constexpr (C::kQueued) {
      const SumMaxima first(d[0]);
      if (hear) picks.hear(heard0, heard8);
      wgmma_wait<0>();
      release();
      const SumMaxima maxima[2] = {first, SumMaxima(d[1])};
      picks.look(d, maxima, s.origin + tile * kScoreTile, scales0.first, scales8.first, tell_others);
    } else {
      picks.look(d[0], 0, scales0, scales8);
      if (hear) picks.hear(heard0, heard8);
      wgmma_wait<0>();
      release();
      picks.look(d[1], 1, scales0, scales8);
    }
  }
  if constexpr (C::kQueued) {
    picks.pick(tell_others);
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
    sm90_score_int8_kernel(const __grid_constant__ CUtensorMap map, const std::byte* memory,
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
  static const cudaError_t set =
      cudaFuncSetAttribute(sm90_score_int8_kernel<C>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(C::kShared));
  check(set, "cudaFuncSetAttribute");
  const CUtensorMap map = ctx.byte_rows_map(C::kDim, C::kBoxRows);
  const auto n = static_cast<uint32_t>(batch.items_per_head * batch.sequences[0].n_kv_heads);
  sm90_score_int8_kernel<C><<<n, C::kThreads, C::kShared, ctx.stream>>>(map, ctx.memory.base(), batch);
  check_launch("sm90_score_int8_kernel");
}

template <int32_t kDim, bool kBlock1>
void launch_shape(Context& ctx, const ScoreBatch& batch) {
  const int32_t top_k = batch.sequences[0].top_k;
  if (top_k == 1 && !kBlock1) {
    launch_config<Config<kDim, 1, false>>(ctx, batch);
  } else if (top_k <= 4) {
    launch_config<Config<kDim, 4, kBlock1>>(ctx, batch);
  } else {
    launch_config<Config<kDim, 16, kBlock1>>(ctx, batch);
  }
}

}  // namespace

bool fits_score_sm90_int8(const Context& ctx, const ScoreArgs& a) {
  return ctx.has_sm90a && (a.pages.head_dim == 64 || a.pages.head_dim == 128) &&
         (!a.block1 || a.middle_begin % 32 == 0) && reinterpret_cast<uintptr_t>(a.q) % 16 == 0;
}

int32_t score_sm90_int8_rows(const ScoreArgs& a) {
  return 64 * groups(a.pages.head_dim, a.top_k, a.block1);
}

void launch_score_sm90_int8(Context& ctx, const ScoreBatch& batch) {
  if (batch.sequences[0].head_dim == 64) {
    batch.block1 ? launch_shape<64, true>(ctx, batch) : launch_shape<64, false>(ctx, batch);
  } else {
    batch.block1 ? launch_shape<128, true>(ctx, batch) : launch_shape<128, false>(ctx, batch);
  }
}

}  // namespace reattn::kernels::cuda
