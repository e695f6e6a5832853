// From logits to a token: all candidates sorted, then cut by top_k, top_p and min_p.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/reference/reference.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::reference {
namespace {

// Relative to the largest logit's; NaN has no chance. Where the largest is infinite, its equals
// share all.
double weight(double logit, double max, double temperature) {
  if (logit == max) return 1.0;
  return logit < max ? std::exp((logit - max) / temperature) : 0.0;
}

float log_softmax(const float* logits, int64_t n, int64_t id, float max) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += weight(logits[i], max, 1.0);
  const double above = logits[id] == max ? 0.0 : static_cast<double>(logits[id]) - max;
  return static_cast<float>(above - std::log(sum));
}

}  // namespace

// Each cut renormalises: top_p keeps the shortest run of best candidates whose share of what top_k
// left reaches top_p; min_p keeps those of at least min_p times the best one's probability. The
// best one always stays.
void sample(const SampleArgs& a) {
  std::vector<int32_t> order;
  for (int64_t i = 0; i < a.n_vocab; ++i) {
    if (!std::isnan(a.logits[i])) order.push_back(static_cast<int32_t>(i));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t i, int32_t j) { return a.logits[i] > a.logits[j]; });
  if (order.empty() || a.logits[order[0]] == -std::numeric_limits<float>::infinity()) {
    fail(ErrorCode::kInternal, "sample: none of the ", a.n_vocab,
         " logits is a number above minus infinity");
  }
  const float max = a.logits[order[0]];
  size_t n = order.size();
  if (!(a.temperature > 0)) {
    n = 1;
  } else {
    std::vector<double> weights;
    for (const int32_t id : order) weights.push_back(weight(a.logits[id], max, a.temperature));
    if (a.top_k > 0) n = std::min(n, static_cast<size_t>(a.top_k));
    if (a.top_p < 1) {
      double total = 0, run = 0;
      for (size_t i = 0; i < n; ++i) total += weights[i];
      size_t n_kept = 0;
      while (n_kept < n && (n_kept == 0 || run < a.top_p * total)) run += weights[n_kept++];
      n = n_kept;
    }
    while (n > 1 && weights[n - 1] < a.min_p) --n;
    while (n > 1 && weights[n - 1] == 0) --n;  // no rounding may reach what has no probability
    double total = 0;
    for (size_t i = 0; i < n; ++i) total += weights[i];
    size_t chosen = 0;
    for (double run = weights[0]; chosen + 1 < n && run <= a.uniform * total;) {
      run += weights[++chosen];
    }
    order[0] = order[chosen];
  }
  *a.token = order[0];
  *a.logprob = log_softmax(a.logits, a.n_vocab, order[0], max);
}

void logprob(const LogprobArgs& a) {
  for (int64_t r = 0; r < a.n_rows; ++r) {
    const float* logits = a.logits + r * a.n_vocab;
    float max = -std::numeric_limits<float>::infinity();
    for (int64_t i = 0; i < a.n_vocab; ++i) max = logits[i] > max ? logits[i] : max;
    if (max == -std::numeric_limits<float>::infinity()) {
      fail(ErrorCode::kInternal, "logprob: none of the ", a.n_vocab, " logits of row ", r,
           " is a number above minus infinity");
    }
    a.out[r] = log_softmax(logits, a.n_vocab, a.ids[r], max);
  }
}

}  // namespace reattn::kernels::reference
