// Scoring, vote and expansion: the fast versions against the reference, and both against what the method says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/reference.hpp"
#include "tests/kernels/each_target.hpp"
#include "tests/kernels/int8_keys.hpp"
#include "tests/kernels/paged_cache.hpp"

namespace reattn::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<int32_t> fast_picks(ScoreArgs a, int32_t n_threads,
                                const std::atomic<bool>* cancel = nullptr) {
  cpu::ThreadPool pool(n_threads);
  cpu::ScratchPool scratch;
  std::vector<int32_t> picks(
      static_cast<size_t>(n_voters(a.n_queries, a.vote_stride) * a.n_heads * a.top_k), -2);
  a.picks = picks.data();
  cpu::score({pool, scratch, cancel}, a);
  return picks;
}

std::vector<int32_t> reference_picks(ScoreArgs a) {
  std::vector<int32_t> picks(
      static_cast<size_t>(n_voters(a.n_queries, a.vote_stride) * a.n_heads * a.top_k), -2);
  a.picks = picks.data();
  reference::score(a);
  return picks;
}

struct Shape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t middle_begin, middle_end;
  int32_t top_k, vote_stride;
  bool block1;
  DType dtype;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", middle [" << s.middle_begin << ", "
             << s.middle_end << "), top_k " << s.top_k << ", stride " << s.vote_stride
             << ", block1 " << s.block1 << ", " << dtype_info(s.dtype).name;
}

class Case {
 public:
  // Small integers make every sum exact, whatever its order, and ties frequent.
  Case(const Shape& s, bool integers, unsigned seed = 1) : shape(s) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&] {
      return integers ? static_cast<float>(static_cast<int>(random() % 7) - 3) : normal(random);
    };
    q.resize(static_cast<size_t>(s.n_queries * s.n_heads * s.head_dim));
    k.resize(static_cast<size_t>(s.middle_end * s.n_kv_heads * s.head_dim));
    for (float& x : q) x = draw();
    for (float& x : k) x = draw();
  }

  ScoreArgs args() {
    cache = std::make_unique<PagedCache>(shape.dtype, shape.n_kv_heads, shape.head_dim, k, k);
    return {q.data(),         shape.n_queries, shape.n_heads,     cache->pages, shape.middle_begin,
            shape.middle_end, shape.top_k,     shape.vote_stride, shape.block1, nullptr};
  }

  Shape shape;
  std::vector<float> q, k;
  std::unique_ptr<PagedCache> cache;
};

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  const int32_t heads[][2] = {{1, 1}, {9, 3}, {8, 1}, {4, 4}};
  const int64_t middles[][2] = {{0, 1}, {32, 545}, {7, 1700}, {500, 4099}};
  unsigned i = 0;
  for (const int64_t n_queries : {1, 2, 7, 64, 130}) {
    for (const auto& h : heads) {
      for (const int32_t head_dim : {8, 64, 80, 128, 256}) {
        // Each combination of these sizes with some of the other settings.
        const int32_t top_k[] = {1, 4, 8, 16, 3};
        const auto& m = middles[(i * 7 + i / 4) % 4];
        if (n_queries * h[0] * head_dim * (m[1] - m[0]) < 40'000'000) {
          all.push_back({n_queries, h[0], h[1], head_dim, m[0], m[1], top_k[i % 5],
                         i % 3 == 0 ? 3 : 1, i % 2 == 1, i % 4 < 2 ? DType::kF16 : DType::kF32});
        }
        ++i;
      }
    }
  }
  all.push_back({7, 9, 3, 20, 5, 700, 4, 1, false, DType::kF16});  // no multiple of 8
  all.push_back({1, 9, 3, 20, 5, 700, 4, 1, false, DType::kF16});
  all.push_back({1, 9, 3, 13, 5, 700, 4, 1, false, DType::kF32});
  all.push_back({2, 9, 3, 64, 33, 20'001, 4, 1, false, DType::kF16});  // several ranges of keys
  all.push_back({20, 9, 3, 8, 33, 20'001, 4, 1, true, DType::kF16});
  all.push_back({150, 9, 3, 256, 33, 300, 4, 1, false, DType::kF32});  // several blocks of rows
  return all;
}

TEST(Score, IntegerScoresGiveTheReferencesPicksTiesIncluded) {
  for (const Shape& shape : shapes()) {
    Case c(shape, true);
    const ScoreArgs a = c.args();
    const std::vector<int32_t> want = reference_picks(a);
    ASSERT_EQ(fast_picks(a, 2), want) << shape;
  }
}

TEST(Score, EveryTargetGivesTheReferencesPicks) {
  const std::vector<Shape> all = shapes();
  for (size_t i = 0; i < all.size(); i += i + 7 < all.size() - 6 ? 7 : 1) {  // and the last ones
    Case c(all[i], true);
    const ScoreArgs a = c.args();
    const std::vector<int32_t> want = reference_picks(a);
    for_each_target([&] { ASSERT_EQ(fast_picks(a, 2), want) << all[i]; });
  }
}

TEST(Score, RealScoresAreAsGoodAsTheReferencesToRounding) {
  for (const Shape& shape : shapes()) {
    Case c(shape, false);
    const ScoreArgs a = c.args();
    const std::vector<int32_t> want = reference_picks(a), got = fast_picks(a, 2);
    const double eps = 1e-5 * shape.head_dim;
    const auto exact = [&](size_t row, int32_t position) {
      const int32_t head = static_cast<int32_t>(row) % shape.n_heads;
      const int64_t query =
          shape.n_queries - 1 - static_cast<int64_t>(row) / shape.n_heads * shape.vote_stride;
      const float* x = c.q.data() + (query * shape.n_heads + head) * shape.head_dim;
      const int64_t kv = head / (shape.n_heads / shape.n_kv_heads);
      std::vector<float> key(static_cast<size_t>(shape.head_dim));
      const float* from = c.k.data() + (position * shape.n_kv_heads + kv) * shape.head_dim;
      double sum = 0;
      for (int32_t i = 0; i < shape.head_dim; ++i) {
        const float element = shape.dtype == DType::kF16
                                  ? reference::half_to_float(reference::float_to_half(from[i]))
                                  : from[i];
        sum += static_cast<double>(x[i]) * element;
      }
      return sum;
    };
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(got[i] < 0, want[i] < 0) << shape;
      if (got[i] < 0 || got[i] == want[i]) continue;
      const size_t row = i / static_cast<size_t>(shape.top_k);
      ASSERT_NEAR(exact(row, got[i]), exact(row, want[i]), eps) << shape << " pick " << i;
    }
  }
}

TEST(Score, SameBitsForAnyThreadsAndOnRepeat) {
  for (const bool block1 : {false, true}) {
    Case c({130, 9, 3, 64, 33, 9'000, 4, 1, block1, DType::kF16}, false);
    const ScoreArgs a = c.args();
    const std::vector<int32_t> once = fast_picks(a, 1);
    for (const int32_t n_threads : {1, 2, 5}) EXPECT_EQ(fast_picks(a, n_threads), once);
  }
}

TEST(Score, EqualScoresGoToTheEarlierPositions) {
  for (const int64_t n_queries : {1, 16}) {
    Case c({n_queries, 3, 1, 64, 10, 9'000, 4, 1, false, DType::kF32}, true);
    std::fill(c.q.begin(), c.q.end(), 1.0f);
    std::fill(c.k.begin(), c.k.end(), 0.5f);
    const std::vector<int32_t> picks = fast_picks(c.args(), 2);
    for (size_t i = 0; i < picks.size(); ++i) EXPECT_EQ(picks[i], 10 + static_cast<int>(i % 4));
    c.shape.block1 = true;
    const std::vector<int32_t> blocks = fast_picks(c.args(), 2);
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(blocks[i], 10 + 128 * static_cast<int>(i % 4));
    }
  }
}

TEST(Score, CandidatesRunOut) {
  for (const int64_t n_queries : {1, 16}) {
    Case c({n_queries, 3, 1, 64, 510, 513, 16, 1, false, DType::kF16}, false);
    const std::vector<int32_t> picks = fast_picks(c.args(), 2);
    for (size_t i = 0; i < picks.size(); i += 16) {
      std::vector<int32_t> found(picks.begin() + static_cast<ptrdiff_t>(i),
                                 picks.begin() + static_cast<ptrdiff_t>(i) + 3);
      std::sort(found.begin(), found.end());
      EXPECT_EQ(found, (std::vector<int32_t>{510, 511, 512}));
      for (size_t j = 3; j < 16; ++j) EXPECT_EQ(picks[i + j], -1);
    }
  }
}

TEST(Score, NanIsNeverPickedAndHidesNothing) {
  for (const int64_t n_queries : {1, 16}) {
    for (const DType dtype : {DType::kF32, DType::kF16}) {
      for (const bool block1 : {false, true}) {
        Case c({n_queries, 9, 3, 64, 3, 1'500, 4, 1, block1, dtype}, true);
        std::mt19937 random(2);
        for (int i = 0; i < 2'000; ++i) c.k[random() % c.k.size()] = kNan;
        for (int i = 0; i < 30; ++i) c.k[random() % c.k.size()] = i % 2 == 0 ? kInf : -kInf;
        c.q[70] = kNan;  // a row without any pick
        c.q[140] = kInf;
        const ScoreArgs a = c.args();
        const std::vector<int32_t> want = reference_picks(a);
        for_each_target([&] { EXPECT_EQ(fast_picks(a, 2), want); });
      }
    }
  }
}

TEST(Score, CancelEndsIt) {
  Case c({16, 3, 1, 64, 0, 600, 4, 1, false, DType::kF32}, true);
  const std::atomic<bool> cancel = true;
  try {
    fast_picks(c.args(), 2, &cancel);
    FAIL() << "not cancelled";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCancelled);
  }
}

TEST(Score, BadArgumentsAreNamed) {
  Case c({2, 3, 1, 64, 0, 600, 4, 1, false, DType::kF32}, true);
  const auto message = [](const ScoreArgs& a) {
    try {
      fast_picks(a, 1);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  ScoreArgs a = c.args();
  a.middle_end = 0;
  EXPECT_NE(message(a).find("[0, 0)"), std::string::npos) << message(a);
  a = c.args();
  a.top_k = 17;
  EXPECT_NE(message(a).find("top_k is 17"), std::string::npos) << message(a);
  a = c.args();
  a.n_heads = 3;
  a.pages.n_kv_heads = 2;
  EXPECT_NE(message(a).find("n_heads is 3"), std::string::npos) << message(a);
}

TEST(QuantizeKeys, EachBlockOfAHeadHasItsOwnScale) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    Case c({1, 3, 3, 20, 0, 1'000, 1, 1, false, dtype}, false);
    for (size_t i = 0; i < 128 * 60; ++i) c.k[i] *= 100;  // the first block
    for (size_t t = 128; t < 256; ++t) {                  // of the second the middle head: zeros
      for (size_t i = 0; i < 20; ++i) c.k[(t * 3 + 1) * 20 + i] = 0;
    }
    const ScoreArgs a = c.args();
    Int8Keys keys(a.pages, 1'000);
    const KvPages pages = keys.pages();
    reference::quantize_keys({pages, 0, 896});
    for (int64_t block = 0; block < 896; block += kScaleBlock) {
      for (int32_t head = 0; head < 3; ++head) {
        const float scale = reference::int8_scale_of(pages, head, block);
        int most = 0;
        for (int64_t t = block; t < block + kScaleBlock; ++t) {
          for (int32_t i = 0; i < 20; ++i) {
            const int8_t x =
                reference::int8_page(pages, t)[reference::row_offset(pages, head, t) + i];
            most = std::max(most, std::abs(int{x}));
            ASSERT_NEAR(static_cast<float>(x) * scale,
                        reference::page_element(pages, pages.k, head, t, i), scale * 0.5001f);
          }
        }
        EXPECT_EQ(most, block == 128 && head == 1 ? 0 : 127);
        EXPECT_EQ(scale == 0, block == 128 && head == 1);
        EXPECT_EQ(scale > 1, block == 0);
      }
    }
    EXPECT_TRUE(keys.untouched_from(896));
  }
}

TEST(QuantizeKeys, StrangeNumbersGiveWhatIsSaid) {
  Case c({1, 1, 1, 8, 0, 256, 1, 1, false, DType::kF32}, true);
  std::fill(c.k.begin(), c.k.end(), 0.0f);
  c.k[0] = 127;
  c.k[1] = kNan;
  c.k[2] = 0.5f;  // ties to even
  c.k[3] = 1.5f;
  c.k[4] = -2.5f;
  c.k[128 * 8] = kInf;
  c.k[128 * 8 + 1] = 3;
  const ScoreArgs a = c.args();
  Int8Keys keys(a.pages, 256);
  reference::quantize_keys({keys.pages(), 0, 256});
  const int8_t* x = reference::int8_page(keys.pages(), 0);
  EXPECT_EQ(std::vector<int>(x, x + 5), (std::vector<int>{127, 0, 0, 2, -2}));
  EXPECT_EQ(std::vector<int>(x + 128 * 8, x + 128 * 8 + 2), (std::vector<int>{0, 0}));
  EXPECT_EQ(reference::int8_scale_of(keys.pages(), 0, 128), kInf);
}

TEST(QuantizeKeys, BadArgumentsAreNamed) {
  Case c({1, 1, 1, 8, 0, 256, 1, 1, false, DType::kF32}, true);
  ScoreArgs a = c.args();
  EXPECT_THROW(reference::quantize_keys({a.pages, 0, 128}), Error) << "no int8 keys";
  Int8Keys keys(a.pages, 256);
  EXPECT_THROW(reference::quantize_keys({keys.pages(), 0, 100}), Error);
  EXPECT_THROW(reference::quantize_keys({keys.pages(), 256, 128}), Error);
  a.int8_end = 128;
  EXPECT_THROW(reference_picks(a), Error) << "no int8 keys";
  a.pages = keys.pages();
  a.int8_end = 100;
  EXPECT_THROW(reference_picks(a), Error);
}

// What the pages hold once more in f32: int8 · scale. Scores of it are those of int8 to rounding.
TEST(ScoreInt8, IsTheScoreOfTheRoundedKeysAndQueries) {
  for (const bool block1 : {false, true}) {
    for (const int64_t int8_end : {128, 512, 1'024}) {  // from none of the middle to all
      Case c({7, 6, 2, 64, 131, 1'000, 4, 2, block1, DType::kF32}, false);
      ScoreArgs a = c.args();
      a.middle_end = 990;
      Int8Keys keys(a.pages, 1'000);
      a.pages = keys.pages();
      a.int8_end = int8_end;
      reference::quantize_keys({a.pages, 0, std::min<int64_t>(int8_end, 896)});
      if (int8_end > 896) a.int8_end = 896;
      const std::vector<int32_t> got = reference_picks(a);
      const auto score = [&](size_t row, int32_t t) {
        const int32_t head = static_cast<int32_t>(row) % 6, kv = head / 3;
        const float* q = c.q.data() + ((6 - static_cast<int64_t>(row) / 6 * 2) * 6 + head) * 64;
        float most = 0;
        for (int i = 0; i < 64; ++i) most = std::max(most, std::abs(q[i]));
        double sum = 0;
        for (int i = 0; i < 64; ++i) {
          const double k =
              t < a.int8_end
                  ? static_cast<double>(reference::int8_page(
                        a.pages, t)[reference::row_offset(a.pages, kv, t) + i]) *
                        reference::int8_scale_of(a.pages, kv, t)
                  : static_cast<double>(reference::page_element(a.pages, a.pages.k, kv, t, i));
          sum += k * (t < a.int8_end ? std::nearbyint(q[i] / (most / 127)) * (most / 127) : q[i]);
        }
        return sum;
      };
      for (size_t i = 0; i < got.size(); ++i) {
        const size_t row = i / 4;
        ASSERT_GE(got[i], 131);
        size_t n_better = 0;
        for (int32_t t = 131; t < 990; ++t) n_better += score(row, t) > score(row, got[i]) + 1e-3;
        if (!block1) {
          ASSERT_LE(n_better, i % 4) << "row " << row;
        }
      }
    }
  }
}

TEST(ScoreInt8, IntegersThatFitGiveThePicksOfTheFullScores) {
  for (const bool block1 : {false, true}) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      Case c({5, 6, 2, 32, 33, 1'500, 4, 1, block1, dtype}, true);
      for (size_t t = 0; t < 1'500; ++t)
        c.k[t * 64] = c.k[t * 64 + 32] = 127;  // so that every scale is 1
      for (size_t row = 0; row < 30; ++row) c.q[row * 32] = 127;
      ScoreArgs a = c.args();
      const std::vector<int32_t> want = reference_picks(a);
      Int8Keys keys(a.pages, 1'500);
      a.pages = keys.pages();
      a.int8_end = 1'280;
      reference::quantize_keys({a.pages, 0, 1'280});
      EXPECT_EQ(reference_picks(a), want);
    }
  }
}

// Sums are integers, and what is made of them is one multiplication: no rounding to differ in.
TEST(ScoreInt8, EveryTargetGivesTheReferencesPicks) {
  std::vector<Shape> all;
  for (const Shape& s : shapes()) {
    if (s.middle_end >= 256) all.push_back(s);
  }
  for (size_t i = 0; i < all.size(); ++i) {
    Case c(all[i], i % 2 == 0);
    ScoreArgs a = c.args();
    Int8Keys keys(a.pages, all[i].middle_end);
    a.pages = keys.pages();
    const int64_t complete = complete_blocks(all[i].middle_end);
    // All that is complete, half of it, one block: the rest is scored natively.
    a.int8_end = i % 3 == 0 ? complete : i % 3 == 1 ? complete_blocks(complete / 2) : kScaleBlock;
    reference::quantize_keys({a.pages, 0, complete});
    if (i % 2 == 1 && a.int8_end < a.middle_end) {
      a.middle_end =
          std::max(a.int8_end, a.middle_begin + 1);  // native scores would differ in rounding
    }
    const std::vector<int32_t> want = reference_picks(a);
    for_each_target(
        [&] { ASSERT_EQ(fast_picks(a, 2), want) << all[i] << ", int8 " << a.int8_end; });
    ASSERT_EQ(fast_picks(a, 1), want) << all[i];
  }
}

TEST(ScoreInt8, ZerosAndStrangeNumbersGiveTheReferencesPicks) {
  for (const int64_t n_queries : {1, 16}) {
    for (const bool block1 : {false, true}) {
      Case c({n_queries, 9, 3, 64, 3, 1'536, 4, 1, block1, DType::kF32}, false);
      std::fill_n(c.k.begin(), 128 * 3 * 64, 0.0f);  // a block of zeros: all its scores are equal
      c.k[300 * 3 * 64 + 5] = kNan;
      c.k[600 * 3 * 64 + 5] = kInf;
      std::fill_n(c.q.begin(), 64, 0.0f);
      c.q[64] = kNan;
      c.q[128] = kInf;
      for (size_t i = 192; i < 256; ++i) c.q[i] *= 1e-40f;
      for (size_t i = 256; i < 320; ++i) c.q[i] *= 1e36f;
      ScoreArgs a = c.args();
      Int8Keys keys(a.pages, 1'536);
      a.pages = keys.pages();
      a.int8_end = 1'536;
      reference::quantize_keys({a.pages, 0, 1'536});
      const std::vector<int32_t> want = reference_picks(a);
      for_each_target([&] { EXPECT_EQ(fast_picks(a, 2), want); });
    }
  }
}

TEST(QuantizeKeys, EveryTargetMakesTheReferencesBytes) {
  for (const DType dtype : {DType::kF32, DType::kF16}) {
    for (const int32_t head_dim : {8, 20, 64, 80}) {
      Case c({1, 3, 3, head_dim, 0, 1'000, 1, 1, false, dtype}, false);
      c.k[5] = kNan;
      c.k[static_cast<size_t>(140 * 3 * head_dim)] = kInf;
      for (size_t i = 0; i < 200; ++i) c.k[static_cast<size_t>(300 * 3 * head_dim) + i] = 0.5f;
      const ScoreArgs a = c.args();
      Int8Keys want(a.pages, 1'000);
      reference::quantize_keys({want.pages(), 128, 896});
      for_each_target([&] {
        Int8Keys got(a.pages, 1'000);
        cpu::ThreadPool pool(2);
        cpu::ScratchPool scratch;
        cpu::quantize_keys({pool, scratch, nullptr}, {got.pages(), 128, 896});
        for (size_t page = 0; page < got.table().size(); ++page) {
          ASSERT_EQ(
              std::memcmp(got.table()[page], want.table()[page], Int8Keys::page_bytes(a.pages)), 0)
              << dtype_info(dtype).name << ", head_dim " << head_dim << ", page " << page;
        }
      });
    }
  }
}

struct Votes {
  std::vector<int32_t> anchors, votes;
};

Votes vote(const std::vector<int32_t>& picks, int64_t begin, int64_t end, int32_t n_anchors) {
  Votes v{std::vector<int32_t>(static_cast<size_t>(n_anchors)),
          std::vector<int32_t>(static_cast<size_t>(n_anchors))};
  int32_t n_found = 0;
  reference::vote({picks.data(), static_cast<int64_t>(picks.size()), begin, end, n_anchors,
                   v.anchors.data(), v.votes.data(), &n_found});
  v.anchors.resize(static_cast<size_t>(n_found));
  v.votes.resize(static_cast<size_t>(n_found));
  return v;
}

TEST(Vote, MostVotedFirstTiesToTheEarlierPosition) {
  const Votes v = vote({9, 5, 7, 5, 9, 3, -1, 7, 9, 4}, 3, 10, 4);
  EXPECT_EQ(v.anchors, (std::vector<int32_t>{9, 5, 7, 3}));
  EXPECT_EQ(v.votes, (std::vector<int32_t>{3, 2, 2, 1}));
}

TEST(Vote, KeepsAllWhereThereAreFewer) {
  EXPECT_EQ(vote({8, 6, -1}, 0, 10, 5).anchors, (std::vector<int32_t>{6, 8}));
  EXPECT_TRUE(vote({-1, -1}, 0, 10, 5).anchors.empty());
  EXPECT_TRUE(vote({8, 6}, 0, 10, 0).anchors.empty());
}

std::vector<int32_t> expand(const std::vector<int32_t>& anchors, int32_t span, int64_t begin,
                            int64_t end) {
  std::vector<int32_t> positions(anchors.size() * static_cast<size_t>(span));
  const auto n_anchors = static_cast<int32_t>(anchors.size());
  int32_t n = 0;
  reference::expand({anchors.data(), &n_anchors, span, begin, end, positions.data(), &n});
  positions.resize(static_cast<size_t>(n));
  return positions;
}

TEST(Expand, UnionAscendingAndClamped) {
  EXPECT_EQ(expand({20, 10}, 4, 0, 30), (std::vector<int32_t>{8, 9, 10, 11, 18, 19, 20, 21}));
  EXPECT_EQ(expand({12, 10}, 5, 0, 30), (std::vector<int32_t>{8, 9, 10, 11, 12, 13, 14}));
  EXPECT_EQ(expand({29, 3}, 4, 3, 30), (std::vector<int32_t>{3, 4, 27, 28, 29}));
  EXPECT_EQ(expand({7}, 1, 3, 30), (std::vector<int32_t>{7}));
  EXPECT_EQ(expand({4}, 100, 3, 6), (std::vector<int32_t>{3, 4, 5}));
  EXPECT_TRUE(expand({}, 4, 3, 30).empty());
}

TEST(Expand, PublishedSpanIsSixteenBeforeAndFifteenAfter) {
  const std::vector<int32_t> positions = expand({100}, 32, 0, 1000);
  EXPECT_EQ(positions.front(), 84);
  EXPECT_EQ(positions.back(), 115);
  EXPECT_EQ(positions.size(), 32u);
}

}  // namespace
}  // namespace reattn::kernels
