// Sampling without sorting the vocabulary: only as many best candidates are ordered as the cuts
// need.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/linear/elementwise.hpp"
#include "kernels/cpu/ops.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr size_t kFirstCandidates = 256;

// Ids by logit descending, then id ascending, ordered piece by piece as they are asked for.
class Candidates {
 public:
  Candidates(const SampleArgs& a, float max) : a_(a), max_(max) {
    for (int64_t i = 0; i < a.n_vocab; ++i) {
      if (!std::isnan(a.logits[i])) ids_.push_back(static_cast<int32_t>(i));
    }
  }
  size_t size() const { return ids_.size(); }
  int32_t id(size_t i) {
    order_past(i);
    return ids_[i];
  }
  // Relative to the best candidate's, at the given temperature.
  double weight(size_t i) {
    const float logit = a_.logits[id(i)];
    if (logit == max_) return 1.0;
    return std::exp((static_cast<double>(logit) - max_) / a_.temperature);
  }

 private:
  void order_past(size_t i) {
    while (n_ordered_ <= i) {
      const size_t end = std::min(std::max(kFirstCandidates, n_ordered_ * 4), ids_.size());
      const auto better = [this](int32_t x, int32_t y) {
        return a_.logits[x] > a_.logits[y] || (a_.logits[x] == a_.logits[y] && x < y);
      };
      const auto from = ids_.begin() + static_cast<ptrdiff_t>(n_ordered_);
      const auto to = ids_.begin() + static_cast<ptrdiff_t>(end);
      if (to != ids_.end()) std::nth_element(from, to - 1, ids_.end(), better);
      std::sort(from, to, better);
      n_ordered_ = end;
    }
  }
  const SampleArgs& a_;
  float max_;
  std::vector<int32_t> ids_;
  size_t n_ordered_ = 0;
};

int32_t draw(const SampleArgs& a, float max) {
  Candidates candidates(a, max);
  size_t n = candidates.size();
  if (a.top_k > 0) n = std::min(n, static_cast<size_t>(a.top_k));
  const auto mass_of = [&](size_t n_best) {
    if (n_best == candidates.size()) {
      return sum_exp(a.logits, a.n_vocab, max, static_cast<float>(1.0 / a.temperature));
    }
    double sum = 0;
    for (size_t i = 0; i < n_best; ++i) sum += candidates.weight(i);
    return sum;
  };
  double mass = 0;
  bool mass_known = false;
  const auto keep = [&](size_t n_best, double sum) {
    n = n_best;
    mass = sum;
    mass_known = true;
  };
  if (a.top_p < 1) {
    const double enough = a.top_p * mass_of(n);
    size_t n_kept = 0;
    double run = 0;
    while (n_kept < n && (n_kept == 0 || run < enough)) run += candidates.weight(n_kept++);
    keep(n_kept, run);
  }
  if (a.min_p > 0) {
    size_t n_kept = 1;
    double run = candidates.weight(0);
    for (; n_kept < n && candidates.weight(n_kept) >= a.min_p; ++n_kept) {
      run += candidates.weight(n_kept);
    }
    keep(n_kept, run);
  }
  const double target = a.uniform * (mass_known ? mass : mass_of(n));
  size_t chosen = 0;
  for (double run = candidates.weight(0); chosen + 1 < n && run <= target; ++chosen) {
    const double next = candidates.weight(chosen + 1);
    if (next == 0) break;  // rounding of the mass must not reach what has no probability
    run += next;
  }
  return candidates.id(chosen);
}

float log_softmax(const float* logits, int64_t n, int64_t id, float max) {
  const double above = logits[id] == max ? 0.0 : static_cast<double>(logits[id]) - max;
  return static_cast<float>(above - std::log(sum_exp(logits, n, max, 1.0F)));
}

}  // namespace

void sample(const Context& c, const SampleArgs& a) {
  c.pool.run(1, c.cancel, [&](int64_t) {
    const float max = max_value(a.logits, a.n_vocab);
    if (max == -std::numeric_limits<float>::infinity()) {
      fail(ErrorCode::kInternal, "sample: none of the ", a.n_vocab,
           " logits is a number above minus infinity");
    }
    int32_t token = 0;
    if (a.temperature > 0) {
      token = draw(a, max);
    } else {
      token = static_cast<int32_t>(std::find(a.logits, a.logits + a.n_vocab, max) - a.logits);
    }
    *a.token = token;
    *a.logprob = log_softmax(a.logits, a.n_vocab, token, max);
  });
}

void logprob(const Context& c, const LogprobArgs& a) {
  c.pool.run(a.n_rows, c.cancel, [&](int64_t r) {
    const float* logits = a.logits + r * a.n_vocab;
    if (a.ids[r] < 0 || a.ids[r] >= a.n_vocab) {
      fail(ErrorCode::kInternal, "logprob: id ", a.ids[r], " of row ", r, ", n_vocab is ",
           a.n_vocab);
    }
    const float max = max_value(logits, a.n_vocab);
    if (max == -std::numeric_limits<float>::infinity()) {
      fail(ErrorCode::kInternal, "logprob: none of the ", a.n_vocab, " logits of row ", r,
           " is a number above minus infinity");
    }
    a.out[r] = log_softmax(logits, a.n_vocab, a.ids[r], max);
  });
}

}  // namespace reattn::kernels::cpu
