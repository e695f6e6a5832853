// Attention with Hopper's wgmma over the packed set: a warp fetches tiles of keys and values, warpgroups take turns at products and
// softmax, the softmax of one tile under the products of the next. Query rows are (query, head of the group): one read of a KV head.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>

#include "kernels/cuda/attend/ptx.hpp"
#include "kernels/cuda/attend/sm90.hpp"
#include "kernels/cuda/attend/wgmma.hpp"
#include "kernels/cuda/device/driver.hpp"
#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {
namespace sm90 {
namespace {

constexpr size_t kMostScratch = size_t{3} << 30;  // packed rows of one launch; a longer list is cut

template <int kHeadDim>
struct Plan : Tiling<kHeadDim> {
  using Tiling<kHeadDim>::kKeys;
  using Tiling<kHeadDim>::kWarpgroups;
  using Tiling<kHeadDim>::kStages;
  static constexpr int kRows = 64 * kWarpgroups;
  static constexpr int kThreads = 128 * (kWarpgroups + 1);
  static constexpr uint32_t kQBytes = kRows * kHeadDim * 2;
  static constexpr uint32_t kTileBytes = kKeys * kHeadDim * 2;
};

template <int kHeadDim>
struct Shared {
  using P = Plan<kHeadDim>;
  unsigned char q[P::kQBytes];  // panels of 64 columns, then rows
  unsigned char k[P::kStages][P::kTileBytes];
  unsigned char v[P::kStages][P::kTileBytes];
  Barrier q_full, k_full[P::kStages], k_empty[P::kStages], v_full[P::kStages], v_empty[P::kStages];
};
constexpr size_t kAlignment = 1024;  // of the swizzle

// What one block does.
struct Item {
  const Sequence* s;
  int32_t kv_head, split, tile;
};

[[maybe_unused]] __device__ Item find_item(const Batch& batch, int32_t at) {
  int32_t i = 0;
  while (i + 1 < batch.n && at >= batch.sequences[i + 1].first_item) ++i;
  const Sequence& s = batch.sequences[i];
  at -= s.first_item;
  const int32_t rest = at / s.n_tiles;
  return {&s, rest / batch.n_splits, rest % batch.n_splits, at % s.n_tiles};
}

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
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
      for (int i = 4; i < kN; i += 4) most = fmaxf(most, fmaxf(s[i + 2 * r], s[i + 2 * r + 1]));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
      most = fmaxf(most, largest[r]);
      const float base = most == -INFINITY ? 0.0f : most;
      keep[r] = exp2_approx(largest[r] - base);
      largest[r] = most;
      float tile_sum = 0;
#pragma unroll
      for (int i = 0; i < kN; i += 4) {
        s[i + 2 * r] = exp2_approx(s[i + 2 * r] - base);
        s[i + 2 * r + 1] = exp2_approx(s[i + 2 * r + 1] - base);
        tile_sum += s[i + 2 * r] + s[i + 2 * r + 1];
      }
      sum[r] = sum[r] * keep[r] + tile_sum;
    }
  }
};

template <class T, int kHeadDim>
__global__ void __launch_bounds__(Plan<kHeadDim>::kThreads, 1)
    sm90_attend_kernel(const __grid_constant__ Batch batch, const __grid_constant__ CUtensorMap q_map,
                       const __grid_constant__ CUtensorMap kv_map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using P = Plan<kHeadDim>;
  constexpr int kKeys = P::kKeys, kStages = P::kStages, kRows = P::kRows;
  constexpr int kProducerRegisters = P::kWarpgroups == 2 ? 24 : 32;
  constexpr int kConsumerRegisters = P::kWarpgroups == 2 ? 240 : 160;
  extern __shared__ unsigned char dynamic[];
  auto& shared = *reinterpret_cast<Shared<kHeadDim>*>(
      dynamic + (kAlignment - shared_address(dynamic) % kAlignment) % kAlignment);

  const Item item = find_item(batch, static_cast<int32_t>(blockIdx.x));
  const Sequence& s = *item.s;
  const auto scope = static_cast<int32_t>(device_scope(s.a));
  const auto n_queries = static_cast<int32_t>(s.a.n_queries);
  const int32_t group = s.a.n_heads / s.a.pages.n_kv_heads;
  const int32_t n_rows = n_queries * group;
  const int32_t first_row = item.tile * kRows;
  const int32_t before = scope - n_queries + 1;  // query i sees the first before + i
  // Tiles of keys that some row of the block sees, and this block's share of them.
  const int32_t seen = before + (min(first_row + kRows, n_rows) - 1) / group;
  const int32_t n_tiles = (seen + kKeys - 1) / kKeys;
  const auto begin = static_cast<int32_t>(int64_t{n_tiles} * item.split / batch.n_splits);
  const auto end = static_cast<int32_t>(int64_t{n_tiles} * (item.split + 1) / batch.n_splits);

  if (threadIdx.x == 0) {
    prefetch_map(q_map);
    prefetch_map(kv_map);
    shared.q_full.init(1);
    for (int i = 0; i < kStages; ++i) {
      shared.k_full[i].init(1);
      shared.v_full[i].init(1);
      shared.k_empty[i].init(4 * P::kWarpgroups);
      shared.v_empty[i].init(4 * P::kWarpgroups);
    }
    fence_barrier_init();
  }
  __syncthreads();

  if (threadIdx.x < 128) {
    give_registers<kProducerRegisters>();
    if (threadIdx.x == 0 && begin < end) {
      const int32_t head_row = item.kv_head * s.capacity;
      shared.q_full.arrive_expecting(P::kQBytes);
      copy_box(shared.q, q_map, 0, s.q_row + item.kv_head * n_rows + first_row, 0, shared.q_full);
      const auto fetch = [&](int32_t tile, int32_t first, unsigned char(&to)[kStages][P::kTileBytes],
                             Barrier(&full)[kStages], Barrier(&empty)[kStages]) {
        const int32_t n = tile - begin, stage = n % kStages;
        empty[stage].wait((n / kStages & 1) ^ 1);
        full[stage].arrive_expecting(P::kTileBytes);
        copy_box(to[stage], kv_map, 0, first + head_row + tile * kKeys, 0, full[stage]);
      };
      fetch(begin, s.k_row, shared.k, shared.k_full, shared.k_empty);
      for (int32_t tile = begin; tile < end; ++tile) {
        if (tile + 1 < end) {
          fetch(tile + 1, s.k_row, shared.k, shared.k_full, shared.k_empty);
        }
        fetch(tile, s.v_row, shared.v, shared.v_full, shared.v_empty);
      }
    }
    return;
  }

  take_registers<kConsumerRegisters>();
  const int32_t warpgroup = static_cast<int32_t>(threadIdx.x) / 128 - 1;
  const int32_t warp = static_cast<int32_t>(threadIdx.x) % 128 / 32;
  const int32_t lane = static_cast<int32_t>(threadIdx.x) % 32;
  // This thread's two rows.
  const int32_t rows[2] = {first_row + 64 * warpgroup + 16 * warp + lane / 4,
                           first_row + 64 * warpgroup + 16 * warp + lane / 4 + 8};
  const int32_t sees[2] = {min(before + rows[0] / group, scope), min(before + rows[1] / group, scope)};

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
    if (lane == 0) barrier.arrive();
  };
  // Scores of `tile` while the values of the tile before are added, then the softmax under that product.
  const auto step = [&](int32_t tile, auto masked) {
    const int32_t n = tile - begin, stage = n % kStages;
    const int32_t stage_before = (n - 1) % kStages;
    shared.k_full[stage].wait(n / kStages & 1);
    named_sync(1 + warpgroup, 256);  // this warpgroup's turn
    pin(scores);
    wgmma_fence();
    multiply_keys(stage);
    shared.v_full[stage_before].wait((n - 1) / kStages & 1);
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
    shared.q_full.wait(0);
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

// Rows of head_dim numbers as [head_dim / 64 panels][rows][64], a box being rows of all panels.
CUtensorMap panel_map(DType dtype, void* rows, int64_t n_rows, int32_t head_dim, int32_t box_rows) {
  const cuuint64_t sizes[3] = {64, static_cast<cuuint64_t>(n_rows),
                               static_cast<cuuint64_t>(head_dim / 64)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(head_dim) * 2, 128};
  const cuuint32_t box[3] = {64, static_cast<cuuint32_t>(box_rows),
                             static_cast<cuuint32_t>(head_dim / 64)};
  const cuuint32_t steps[3] = {1, 1, 1};
  CUtensorMap map;
  check(driver().encode_tiled(
            &map,
            dtype == DType::kBF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                  : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
            3, rows, sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
            CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
            CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
        "cuTensorMapEncodeTiled");
  return map;
}

template <int kHeadDim>
int64_t rounded_capacity(const AttendArgs& a) {
  constexpr int64_t kKeys = Tiling<kHeadDim>::kKeys;
  return (scope_bound(a) + kKeys - 1) / kKeys * kKeys;
}

// Packed rows of one sequence.
template <int kHeadDim>
int64_t n_packed_rows(const AttendArgs& a) {
  return a.n_queries * a.n_heads + 2 * rounded_capacity<kHeadDim>(a) * a.pages.n_kv_heads;
}

// Into how many parts to cut the keys: blocks come in waves of n_sms, and each part costs a start and a share of the combination.
int32_t choose_splits(int64_t n_items, int64_t n_key_tiles, int64_t n_sms) {
  constexpr double kStart = 2.5, kCombine = 4;  // in tiles of keys
  int32_t best = 1;
  double best_time = 0;
  for (int32_t n = 1; n <= 32 && n * 4 <= n_key_tiles + 3; ++n) {
    const auto waves = static_cast<double>((n_items * n + n_sms - 1) / n_sms);
    const double tiles = static_cast<double>((n_key_tiles + n - 1) / n);
    const double time = waves * (tiles + kStart) + (n > 1 ? kCombine : 0);
    if (n == 1 || time < best_time) {
      best = n;
      best_time = time;
    }
  }
  return best;
}

template <class T, int kHeadDim>
void launch(Context& ctx, Batch& batch, int64_t n_rows) {
  using P = Plan<kHeadDim>;
  constexpr size_t kBytes = sizeof(Shared<kHeadDim>) + kAlignment;
  static_assert(kBytes <= 227 * 1024);
  check(cudaFuncSetAttribute(sm90_attend_kernel<T, kHeadDim>,
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kBytes)),
        "cudaFuncSetAttribute");
  const DType dtype = batch.sequences[0].a.pages.dtype;
  const CUtensorMap q_map = panel_map(dtype, batch.rows, n_rows, kHeadDim, P::kRows);
  const CUtensorMap kv_map = panel_map(dtype, batch.rows, n_rows, kHeadDim, P::kKeys);
  gather<kHeadDim>(ctx, batch);
  sm90_attend_kernel<T, kHeadDim>
      <<<static_cast<unsigned>(batch.n_items), P::kThreads, kBytes, ctx.stream>>>(batch, q_map,
                                                                                  kv_map);
  check_launch("sm90_attend_kernel");
  if (batch.n_splits == 1) return;
  int64_t most = 0;
  for (int32_t i = 0; i < batch.n; ++i) {
    most = std::max(most, batch.sequences[i].a.n_queries * batch.sequences[i].a.n_heads);
  }
  const dim3 grid(static_cast<unsigned>((most * (kHeadDim / 4) + 255) / 256),
                  static_cast<unsigned>(batch.n));
  sm90_combine_kernel<kHeadDim><<<grid, 256, 0, ctx.stream>>>(batch);
  check_launch("sm90_combine_kernel");
}

// As many of the sequences as one launch takes; how many it took.
template <int kHeadDim>
size_t run_some(Context& ctx, std::span<const AttendArgs> sequences) {
  using P = Plan<kHeadDim>;
  Batch batch;
  int64_t n_rows = 0, most_key_tiles = 0, n_items = 0;
  size_t taken = 0;
  for (; taken < sequences.size() && batch.n < kBatch; ++taken) {
    const AttendArgs& a = sequences[taken];
    if (a.n_queries == 0) continue;
    const int64_t more = n_packed_rows<kHeadDim>(a);
    if (batch.n > 0 && static_cast<size_t>(n_rows + more) * kHeadDim * 2 > kMostScratch) break;
    const int32_t group = a.n_heads / a.pages.n_kv_heads;
    const int64_t capacity = rounded_capacity<kHeadDim>(a), q_rows = a.n_queries * a.n_heads;
    const int64_t n_tiles = (a.n_queries * group + P::kRows - 1) / P::kRows;
    if (n_rows + more > INT32_MAX || n_items + n_tiles * a.pages.n_kv_heads > INT32_MAX / 32) {
      if (batch.n > 0) break;
      fail(ErrorCode::kUnsupported, "attend: a scope of ", capacity, " for ", a.n_queries,
           " queries is too large for one launch");
    }
    Sequence& s = batch.sequences[batch.n++];
    s.a = a;
    s.q_row = static_cast<int32_t>(n_rows);
    s.k_row = static_cast<int32_t>(n_rows + q_rows);
    s.v_row = static_cast<int32_t>(n_rows + q_rows + capacity * a.pages.n_kv_heads);
    s.capacity = static_cast<int32_t>(capacity);
    s.n_tiles = static_cast<int32_t>(n_tiles);
    s.part_row = batch.n_part_rows;
    batch.n_part_rows += static_cast<int32_t>(q_rows);
    n_rows += more;
    n_items += n_tiles * a.pages.n_kv_heads;
    most_key_tiles = std::max(most_key_tiles, capacity / P::kKeys);
  }
  if (batch.n == 0) return taken;

  batch.n_splits = choose_splits(n_items, most_key_tiles, ctx.n_sms);
  for (int32_t i = 0; i < batch.n; ++i) {
    Sequence& s = batch.sequences[i];
    s.first_item = batch.n_items;
    batch.n_items += s.n_tiles * s.a.pages.n_kv_heads * batch.n_splits;
  }
  const size_t row_size = size_t{kHeadDim} * 2;
  const size_t n_parts = batch.n_splits == 1 ? 0
                                             : static_cast<size_t>(batch.n_splits) *
                                                   static_cast<size_t>(batch.n_part_rows);
  const size_t rows_bytes = static_cast<size_t>(n_rows) * row_size;
  ctx.scratch.begin(Scratch::padded(rows_bytes) +
                    Scratch::padded(n_parts * kHeadDim * sizeof(float)) +
                    Scratch::padded(n_parts * sizeof(float2)));
  batch.rows = ctx.scratch.take<std::byte>(rows_bytes);
  batch.part_out = ctx.scratch.take<float>(n_parts * kHeadDim);
  batch.part_norm = ctx.scratch.take<float2>(n_parts);
  if (batch.sequences[0].a.pages.dtype == DType::kF16) {
    launch<__half, kHeadDim>(ctx, batch, n_rows);
  } else {
    launch<__nv_bfloat16, kHeadDim>(ctx, batch, n_rows);
  }
  return taken;
}

}  // namespace
}  // namespace sm90

bool attend_sm90_can(const Context& ctx, const AttendArgs& a) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return ctx.has_sm90a && (a.pages.dtype == DType::kF16 || a.pages.dtype == DType::kBF16) &&
         (a.pages.head_dim == 64 || a.pages.head_dim == 128) && aligned(a.q) && aligned(a.out) &&
         aligned(a.rope.cos) && aligned(a.rope.sin);
}

void attend_sm90(Context& ctx, std::span<const AttendArgs> sequences) {
  while (!sequences.empty()) {
    const size_t n = sequences[0].pages.head_dim == 64 ? sm90::run_some<64>(ctx, sequences)
                                                       : sm90::run_some<128>(ctx, sequences);
    sequences = sequences.subspan(n);
  }
}

}  // namespace reattn::kernels::cuda
