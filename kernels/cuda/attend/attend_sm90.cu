// The fast attention's launches: how a list of sequences becomes work for all multiprocessors.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/attend/sm90_kernel.hpp"
#include "kernels/cuda/device/driver.hpp"
#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {
namespace sm90 {
namespace {

constexpr size_t kMostScratch = size_t{3} << 30;  // packed rows of one launch; a longer list is cut

// Rows of head_dim numbers as [head_dim / 64 panels][rows][64], a box being rows of all panels.
CUtensorMap panel_map(DType dtype, void* rows, int64_t n_rows, int32_t head_dim, int32_t box_rows,
                      int32_t box_panels) {
  const cuuint64_t sizes[3] = {64, static_cast<cuuint64_t>(n_rows),
                               static_cast<cuuint64_t>(head_dim / 64)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(head_dim) * 2, 128};
  const cuuint32_t box[3] = {64, static_cast<cuuint32_t>(box_rows),
                             static_cast<cuuint32_t>(box_panels)};
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
  return 2 * rounded_capacity<kHeadDim>(a) * a.pages.n_kv_heads;
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

template <class T, int kHeadDim, int kCluster, bool kInt8>
void launch_attend(Context& ctx, Batch& batch, int64_t n_rows) {
  using P = Plan<kHeadDim>;
  constexpr size_t kBytes = sizeof(Shared<kHeadDim>) + kAlignment;
  static_assert(kBytes <= 227 * 1024);
  auto* kernel = sm90_attend_kernel<T, kHeadDim, kCluster, kInt8 && P::kPacks>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kBytes)),
        "cudaFuncSetAttribute");
  constexpr int32_t kPanels = kHeadDim / 64;
  constexpr bool kByPanels = kPanels % kCluster == 0;
  const CUtensorMap kv_map =
      panel_map(batch.sequences[0].a.pages.dtype, batch.rows, n_rows, kHeadDim,
                kByPanels ? P::kKeys : P::kKeys / kCluster, kByPanels ? kPanels / kCluster : kPanels);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {kCluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(batch.n_items));
  config.blockDim = dim3(P::kThreads);
  config.dynamicSmemBytes = kBytes;
  config.stream = ctx.stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, kernel, batch, kv_map), "sm90_attend_kernel");
}

template <class T, int kHeadDim, bool kInt8>
void launch(Context& ctx, Batch& batch, int64_t n_rows) {
  int64_t most_units = 0;
  bool pairs = true;
  for (int32_t i = 0; i < batch.n; ++i) {
    const Sequence& s = batch.sequences[i];
    pairs = pairs && s.n_tiles % 2 == 0;
    if (s.packed) {
      most_units = std::max(most_units, int64_t{s.capacity} / kUnit * s.a.pages.n_kv_heads);
    }
  }
  if (most_units > 0) {
    const dim3 grid(static_cast<unsigned>((most_units + 7) / 8), static_cast<unsigned>(batch.n));
    sm90_pack_kernel<T, kHeadDim, kInt8><<<grid, 256, 0, ctx.stream>>>(batch);
    check_launch("sm90_pack_kernel");
  }
  const bool in_pairs = kHeadDim == 128 && pairs;
  if constexpr (kHeadDim == 128) {
    if (in_pairs) launch_attend<T, kHeadDim, 2, kInt8>(ctx, batch, n_rows);
  }
  if (!in_pairs) launch_attend<T, kHeadDim, 1, kInt8>(ctx, batch, n_rows);
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
  constexpr int32_t kFew = 8;  // tiles of rows: their blocks would be slow to pack what they read
  bool any_to_pack = false, any_int8 = false;
  int32_t n_flags = 0;
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
    s.k_row = static_cast<int32_t>(n_rows);
    s.v_row = static_cast<int32_t>(n_rows + capacity * a.pages.n_kv_heads);
    s.capacity = static_cast<int32_t>(capacity);
    s.n_tiles = static_cast<int32_t>(n_tiles);
    s.part_row = batch.n_part_rows;
    s.packed = !P::kPacks || n_tiles < kFew;
    any_to_pack = any_to_pack || !s.packed;
    any_int8 = any_int8 || a.int8_end > 0;
    s.first_flag = n_flags;
    batch.n_part_rows += static_cast<int32_t>(q_rows);
    n_flags += static_cast<int32_t>(capacity / P::kKeys) * a.pages.n_kv_heads;
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
  const size_t n_claims =
      static_cast<size_t>(batch.n * sequences[0].pages.n_kv_heads * batch.n_splits);
  const size_t n_counts = n_claims + static_cast<size_t>(n_flags);
  ctx.scratch.begin(Scratch::padded(rows_bytes) + Scratch::padded(n_counts * sizeof(uint32_t)) +
                    Scratch::padded(n_parts * kHeadDim * sizeof(float)) +
                    Scratch::padded(n_parts * sizeof(float2)));
  batch.rows = ctx.scratch.take<std::byte>(rows_bytes);
  batch.claims = ctx.scratch.take<uint32_t>(n_counts);
  batch.flags = batch.claims + n_claims;
  batch.part_out = ctx.scratch.take<float>(n_parts * kHeadDim);
  batch.part_norm = ctx.scratch.take<float2>(n_parts);
  if (any_to_pack) {
    check(cudaMemsetAsync(batch.claims, 0, n_counts * sizeof(uint32_t), ctx.stream),
          "cudaMemsetAsync");
  }
  const auto launch_as = [&](auto any_int8) {
    constexpr bool kInt8 = decltype(any_int8)::value;
    if (batch.sequences[0].a.pages.dtype == DType::kF16) {
      launch<__half, kHeadDim, kInt8>(ctx, batch, n_rows);
    } else {
      launch<__nv_bfloat16, kHeadDim, kInt8>(ctx, batch, n_rows);
    }
  };
  if (any_int8) {
    launch_as(std::true_type());
  } else {
    launch_as(std::false_type());
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
