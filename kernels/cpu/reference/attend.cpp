// Reference attention: gathers the set, rotates, and takes each query's softmax over what it sees.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/reference/check.hpp"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/int8.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {
namespace {

std::vector<int64_t> gathered_positions(const AttendArgs& a) {
  std::vector<int64_t> set;
  for (int64_t t = 0; t < a.n_global; ++t) set.push_back(t);
  const int32_t n_recalled = a.n_recalled == nullptr ? 0 : *a.n_recalled;
  for (int32_t i = 0; i < n_recalled; ++i) set.push_back(a.recalled[i]);
  for (int64_t t = a.local_begin; t < a.n_tokens; ++t) set.push_back(t);
  return set;
}

void rotate(float* x, int32_t head_dim, const RopeTable& rope, int64_t position) {
  const int32_t half = head_dim / 2;
  const bool interleaved = rope.layout == RopeLayout::kInterleaved;
  for (int32_t i = 0; i < half; ++i) {
    const float c = rope.cos[position * half + i], s = rope.sin[position * half + i];
    float& x0 = x[interleaved ? 2 * i : i];
    float& x1 = x[interleaved ? 2 * i + 1 : i + half];
    const float even = x0, odd = x1;
    x0 = even * c - odd * s;
    x1 = even * s + odd * c;
  }
}

// Rows of one KV head: [set.size(), head_dim].
std::vector<float> gather(const AttendArgs& a, void* const* table, void* const* int8_table,
                          int32_t kv_head, const std::vector<int64_t>& set) {
  const KvPages& p = a.pages;
  std::vector<float> rows;
  for (const int64_t t : set) {
    for (int32_t i = 0; i < p.head_dim; ++i) {
      rows.push_back(t < a.int8_end ? int8_element(p, int8_table, kv_head, t, i)
                                    : page_element(p, table, kv_head, t, i));
    }
  }
  return rows;
}

}  // namespace

void attend(const AttendArgs& a) {
  const int64_t scope = check(a);
  const int32_t d = a.pages.head_dim;
  const int32_t group = a.n_heads / a.pages.n_kv_heads;
  const std::vector<int64_t> set = gathered_positions(a);
  std::vector<float> weights(set.size());
  for (int32_t kv_head = 0; kv_head < a.pages.n_kv_heads; ++kv_head) {
    std::vector<float> keys = gather(a, a.pages.k, a.pages.k8, kv_head, set);
    const std::vector<float> values = gather(a, a.pages.v, a.pages.v8, kv_head, set);
    for (int64_t j = 0; j < scope; ++j) rotate(keys.data() + j * d, d, a.rope, j);

    for (int64_t i = 0; i < a.n_queries; ++i) {
      const int64_t seen = scope - a.n_queries + i + 1;
      for (int32_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const int64_t at = (i * a.n_heads + head) * d;
        std::vector<float> q(a.q + at, a.q + at + d);
        rotate(q.data(), d, a.rope, seen - 1);
        float largest = -std::numeric_limits<float>::infinity();
        for (int64_t j = 0; j < seen; ++j) {
          float dot = 0;
          for (int32_t x = 0; x < d; ++x) dot += q[x] * keys[j * d + x];
          weights[j] = dot * a.scale;
          largest = std::max(largest, weights[j]);
        }
        float sum = 0;
        for (int64_t j = 0; j < seen; ++j) sum += weights[j] = std::exp(weights[j] - largest);
        for (int32_t x = 0; x < d; ++x) {
          float dot = 0;
          for (int64_t j = 0; j < seen; ++j) dot += weights[j] * values[j * d + x];
          a.out[at + x] = dot / sum;
        }
      }
    }
  }
}

}  // namespace reattn::kernels::reference
