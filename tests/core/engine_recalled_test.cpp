// What was recalled, added up: many steps against a table of every position.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/engine/recalled.hpp"

namespace reattn::engine {
namespace {

// The same from a table: positions covered, and the votes of the spans that begin there.
class Table {
 public:
  explicit Table(int64_t n) : covered_(static_cast<size_t>(n + 1)), votes_(covered_.size()) {}

  void add(int64_t anchor, int64_t votes, int32_t span, int64_t middle_begin, int64_t middle_end) {
    const int64_t begin = std::max(middle_begin, anchor - span / 2);
    const int64_t end = std::min(middle_end, anchor + span - span / 2);
    votes_[static_cast<size_t>(begin)] += votes;
    for (int64_t p = begin; p < end; ++p) covered_[static_cast<size_t>(p)] = true;
  }
  std::vector<Span> spans() const {
    std::vector<Span> out;
    for (size_t p = 0; p < covered_.size(); ++p) {
      const auto at = static_cast<int64_t>(p);
      if (!covered_[p]) continue;
      if (out.empty() || out.back().end != at) out.push_back({at, at, 0});
      out.back().end = at + 1;
      out.back().votes += votes_[p];
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const Span& a, const Span& b) { return a.votes > b.votes; });
    return out;
  }

 private:
  std::vector<bool> covered_;
  std::vector<int64_t> votes_;
};

TEST(LayerRecall, AddsUpAnyNumberOfStepsInAnyOrder) {
  std::mt19937 random(7);
  for (const int64_t n : {300, 5000, 200'000}) {
    const int32_t span = 1 + static_cast<int32_t>(random() % 40);
    Table table(n);
    LayerRecall at_once, by_steps;
    for (int step = 0; step < 300; ++step) {
      const int64_t middle_end = n / 2 + n / 2 * step / 300;  // grows
      LayerRecall one;
      for (int i = 0; i < 20; ++i) {
        const int64_t anchor =
            8 + static_cast<int64_t>(random() % static_cast<uint64_t>(middle_end - 8));
        const int64_t votes = 1 + static_cast<int64_t>(random() % 5);
        table.add(anchor, votes, span, 8, middle_end);
        at_once.add(anchor, votes, span, 8, middle_end);
        one.add(anchor, votes, span, 8, middle_end);
      }
      by_steps.add(one);
      if (step % 100 == 50) {
        EXPECT_TRUE(at_once.spans() == table.spans()) << n << ", " << step;
      }
    }
    EXPECT_TRUE(at_once.spans() == table.spans()) << n;
    EXPECT_TRUE(by_steps.spans() == table.spans()) << n;
  }
}

TEST(RecallLog, AllLayersAreTheirSum) {
  RecallLog log(2);
  std::vector<LayerRecall> step(2);
  step[0].add(20, 3, 8, 0, 100);  // [16, 24)
  step[1].add(28, 2, 8, 0, 100);  // [24, 32): touches
  step[1].add(60, 4, 8, 0, 100);
  log.add(step, RecalledScope::kPrompt);
  log.add(step, RecalledScope::kPrompt);
  const auto all = log.spans(-1, RecalledScope::kPrompt);
  EXPECT_TRUE(all == (std::vector<Span>{{16, 32, 10}, {56, 64, 8}}));
  EXPECT_TRUE(log.spans(0, RecalledScope::kLastStep) == (std::vector<Span>{{16, 24, 3}}));
  EXPECT_TRUE(log.spans(-1, RecalledScope::kAnswer).empty());
  log.begin_append();
  EXPECT_TRUE(log.spans(-1, RecalledScope::kPrompt).empty());
  EXPECT_EQ(log.spans(-1, RecalledScope::kLastStep).size(), 2u);
}

}  // namespace
}  // namespace reattn::engine
