// Reference scoring: one f32 dot product after the other, best picks kept in a sorted list.
#include <limits>
#include <vector>

#include "kernels/cpu/reference/check.hpp"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/int8.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {
namespace {

struct Pick {
  float score;
  int32_t position;
};

// Keeps `best` sorted, best first, at no more than top_k; what equals a held score comes after it.
// NaN and −inf are greater than nothing, so they are never picked.
void offer(std::vector<Pick>& best, int32_t top_k, Pick pick) {
  if (!(pick.score > -std::numeric_limits<float>::infinity())) return;
  auto at = best.end();
  while (at != best.begin() && pick.score > (at - 1)->score) --at;
  best.insert(at, pick);
  if (static_cast<int32_t>(best.size()) > top_k) best.pop_back();
}

float dot(const float* q, const KvPages& pages, int32_t kv_head, int64_t t) {
  float sum = 0;
  for (int32_t i = 0; i < pages.head_dim; ++i) {
    sum += q[i] * page_element(pages, pages.k, kv_head, t, i);
  }
  return sum;
}

// A query row in int8.
struct Int8Row {
  float scale = 0;
  std::vector<int8_t> numbers;  // [head_dim]
};

Int8Row int8_row(const float* q, int32_t head_dim) {
  Int8Row row;
  float most = 0;
  for (int32_t i = 0; i < head_dim; ++i) most = std::fmax(most, std::fabs(q[i]));
  row.scale = int8_scale(most);
  for (int32_t i = 0; i < head_dim; ++i) row.numbers.push_back(to_int8(q[i], row.scale));
  return row;
}

float dot(const Int8Row& q, const KvPages& pages, int32_t kv_head, int64_t t) {
  const int8_t* key = int8_page(pages, t) + row_offset(pages, kv_head, t);
  int32_t sum = 0;
  for (size_t i = 0; i < q.numbers.size(); ++i) sum += q.numbers[i] * key[i];
  return static_cast<float>(sum) * (int8_scale_of(pages, kv_head, t) * q.scale);
}

}  // namespace

void score(const ScoreArgs& a) {
  check(a);
  const int32_t group = a.n_heads / a.pages.n_kv_heads;
  const int64_t block = a.block1 ? kBlock1 : 1;
  std::vector<Pick> best, winner;
  for (int64_t v = 0; v < n_voters(a.n_queries, a.vote_stride); ++v) {
    const int64_t query = a.n_queries - 1 - v * a.vote_stride;
    for (int32_t head = 0; head < a.n_heads; ++head) {
      const float* q = a.q + (query * a.n_heads + head) * a.pages.head_dim;
      const Int8Row q8 = a.int8_end > 0 ? int8_row(q, a.pages.head_dim) : Int8Row{};
      best.clear();
      for (int64_t begin = a.middle_begin; begin < a.middle_end; begin += block) {
        winner.clear();
        for (int64_t t = begin; t < begin + block && t < a.middle_end; ++t) {
          const float score =
              t < a.int8_end ? dot(q8, a.pages, head / group, t) : dot(q, a.pages, head / group, t);
          offer(winner, 1, {score, static_cast<int32_t>(t)});
        }
        for (const Pick& pick : winner) offer(best, a.top_k, pick);
      }
      int32_t* picks = a.picks + (v * a.n_heads + head) * a.top_k;
      for (size_t i = 0; i < static_cast<size_t>(a.top_k); ++i) {
        picks[i] = i < best.size() ? best[i].position : -1;
      }
    }
  }
}

}  // namespace reattn::kernels::reference
