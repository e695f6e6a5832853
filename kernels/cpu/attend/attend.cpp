// Attention over the selected set: cuts the work into tasks by its shape alone.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/attend/attend_kernels.hpp"
#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/check.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr int64_t kGatherKeys = 512;         // of one task
constexpr int64_t kStreamKeys = 512;         // of one task
constexpr int64_t kGatherFloats = 16 << 20;  // gathered at a time, unless one KV head needs more
static_assert(kGatherKeys % kKeyBlock == 0);

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

ScratchPool::Lease lease_floats(const Context& c, int64_t n) {
  return ScratchPool::Lease(c.scratch, static_cast<size_t>(n) * sizeof(float));
}

// Many rows share what is read of the keys; few rows are cut small enough to occupy several threads.
int64_t rows_of_block(int64_t n_rows) {
  if (n_rows >= 512) return 8 * kRowStep;
  return n_rows >= 48 ? 2 * kRowStep : kRowStep;
}

void stream(const Context& c, const AttendSet& set) {
  const AttendArgs& a = *set.args;
  const int64_t depth = a.pages.head_dim, group = a.n_heads / a.pages.n_kv_heads;
  const int64_t n_parts = ceil_div(set.scope, kStreamKeys);
  const int64_t part_floats = group * (depth + 2);  // largest, sum, out
  const ScratchPool::Lease found = lease_floats(c, a.pages.n_kv_heads * n_parts * part_floats);
  c.pool.run(a.pages.n_kv_heads * n_parts, c.cancel, [&](int64_t task) {
    const ScratchPool::Lease scratch = lease_floats(c, stream_scratch(group, depth));
    float* at = found.as<float>() + task * part_floats;
    const int64_t begin = task % n_parts * kStreamKeys;
    attend_streamed({&set, static_cast<int32_t>(task / n_parts), begin,
                     std::min(begin + kStreamKeys, set.scope), at, at + group, at + 2 * group,
                     scratch.as<float>()});
  });

  for (int64_t head = 0; head < a.n_heads; ++head) {
    const float* parts = found.as<float>() + head / group * n_parts * part_floats;
    const int64_t g = head % group;
    float largest = -std::numeric_limits<float>::infinity(), sum = 0;
    for (int64_t p = 0; p < n_parts; ++p) largest = std::max(largest, parts[p * part_floats + g]);
    float* out = a.out + head * depth;
    std::fill_n(out, depth, 0.0f);
    for (int64_t p = 0; p < n_parts; ++p) {
      const float* part = parts + p * part_floats;
      const float factor = std::exp2(part[g] - largest);
      sum += part[group + g] * factor;
      for (int64_t i = 0; i < depth; ++i) out[i] += part[2 * group + g * depth + i] * factor;
    }
    for (int64_t i = 0; i < depth; ++i) out[i] /= sum;
  }
}

void tile(const Context& c, const AttendSet& set) {
  const AttendArgs& a = *set.args;
  const int64_t depth = a.pages.head_dim, group = a.n_heads / a.pages.n_kv_heads;
  const int64_t n_rows = a.n_queries * group, block = rows_of_block(n_rows);
  const int64_t n_blocks = ceil_div(n_rows, block);
  const int64_t n_gathers = ceil_div(set.scope, kGatherKeys);
  const int64_t k_floats = padded_scope(set.scope) * depth;
  const int64_t v_floats = padded_scope(set.scope) * padded_dim(depth);
  const int64_t n_at_once = std::clamp(kGatherFloats / (k_floats + v_floats), int64_t{1},
                                       static_cast<int64_t>(a.pages.n_kv_heads));
  const ScratchPool::Lease gathered = lease_floats(c, n_at_once * (k_floats + v_floats));
  for (int64_t first = 0; first < a.pages.n_kv_heads; first += n_at_once) {
    const int64_t n_heads = std::min(n_at_once, a.pages.n_kv_heads - first);
    const auto from = [&](int64_t i) {
      float* k = gathered.as<float>() + i * (k_floats + v_floats);
      return GatheredHead{k, k + k_floats};
    };
    c.pool.run(n_heads * n_gathers, c.cancel, [&](int64_t task) {
      const ScratchPool::Lease scratch = lease_floats(c, (kWidestTile + 1) * depth);
      const int64_t i = task / n_gathers, begin = task % n_gathers * kGatherKeys;
      gather(set, static_cast<int32_t>(first + i), begin, std::min(begin + kGatherKeys, set.scope),
             from(i), scratch.as<float>());
    });
    c.pool.run(n_heads * n_blocks, c.cancel, [&](int64_t task) {
      const ScratchPool::Lease scratch = lease_floats(c, attend_scratch(block, depth));
      const int64_t i = task / n_blocks, begin = task % n_blocks * block;
      attend_tiles({&set, from(i), static_cast<int32_t>(first + i), begin,
                    std::min(begin + block, n_rows), scratch.as<float>(), c.cancel});
    });
    if (c.cancel != nullptr && c.cancel->load()) fail(ErrorCode::kCancelled, "attend: cancelled");
  }
}

}  // namespace

void attend(const Context& c, const AttendArgs& a) {
  const int64_t scope = reference::check(a);
  reference::check_host_pages("attend", a.pages);
  if (a.n_queries == 0) return;
  const AttendSet set{&a, a.n_recalled == nullptr ? 0 : *a.n_recalled, scope};
  if (a.n_queries == 1 && a.n_heads / a.pages.n_kv_heads <= kMaxStreamGroup) {
    stream(c, set);
  } else {
    tile(c, set);
  }
}

}  // namespace reattn::kernels::cpu
