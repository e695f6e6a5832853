// Scoring for few queries on the device, against the reference: exact where sums are exact, else within rounding.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/cpu/reference/reference.hpp"
#include "kernels/cuda/select/score_decode.hpp"
#include "tests/kernels/cuda_context.hpp"
#include "tests/kernels/cuda_fixture.hpp"

namespace reattn::kernels {
namespace {

struct Shape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t begin, end, n_tokens;
  int32_t top_k, stride;
  DType dtype;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", middle [" << s.begin << ", " << s.end
             << "), top_k " << s.top_k << ", stride " << s.stride << ", "
             << dtype_info(s.dtype).name;
}

// Broken: some keys are NaN or infinite. Zero: all queries are, so that all scores are 0 or −0.
enum class Values { kIntegers, kNormal, kBroken, kZero };

float rounded(DType dtype, float x) {
  return dtype == DType::kBF16 ? reference::bf16_to_float(reference::float_to_bf16(x))
                               : reference::half_to_float(reference::float_to_half(x));
}

class Case {
 public:
  Case(const Shape& s, Values values, unsigned seed)
      : shape(s),
        n_picks(static_cast<size_t>(n_voters(s.n_queries, s.stride) * s.n_heads * s.top_k)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&] {
      return values == Values::kNormal ? normal(random)
                                       : static_cast<float>(static_cast<int>(random() % 5) - 2);
    };
    q.resize(static_cast<size_t>(s.n_queries * s.n_heads * s.head_dim));
    k.resize(static_cast<size_t>(s.n_tokens * s.n_kv_heads * s.head_dim));
    for (float& x : q) x = rounded(s.dtype, draw());
    for (float& x : k) x = draw();
    if (values == Values::kZero) std::fill(q.begin(), q.end(), 0.0f);
    if (values == Values::kBroken) {
      const float broken[] = {NAN, INFINITY, -INFINITY};
      for (size_t i = 0; i < k.size() / 300; ++i) k[random() % k.size()] = broken[random() % 3];
    }
    cache = std::make_unique<TwinCache>(s.dtype, s.n_kv_heads, s.head_dim, k, k);
    q_device = std::make_unique<DeviceArray<float>>(q);
    picks = std::make_unique<DeviceArray<int32_t>>(n_picks + 8);
    poison();
  }

  void poison() { picks->fill_bytes(0xA5); }
  ScoreArgs args(const float* queries, const KvPages& pages, int32_t* out) const {
    return {queries,   shape.n_queries, shape.n_heads, pages, shape.begin,
            shape.end, shape.top_k,     shape.stride,  false, out};
  }
  ScoreArgs device_args() const {
    return args(q_device->data(), cache->device_pages, picks->data());
  }
  std::vector<int32_t> reference() const {
    std::vector<int32_t> out(n_picks);
    reference::score(args(q.data(), cache->host_pages(), out.data()));
    return out;
  }
  std::vector<int32_t> result() const {
    std::vector<int32_t> out = picks->download();
    for (size_t i = n_picks; i < out.size(); ++i)
      EXPECT_EQ(out[i], static_cast<int32_t>(0xA5A5A5A5));
    out.resize(n_picks);
    return out;
  }
  // In double precision, so that rounding can be told from error.
  double score(size_t pick, int32_t position) const {
    const auto row = static_cast<int64_t>(pick) / shape.top_k;
    const int64_t query = shape.n_queries - 1 - row / shape.n_heads * shape.stride;
    const int64_t head = row % shape.n_heads, kv_head = head / (shape.n_heads / shape.n_kv_heads);
    double sum = 0;
    for (int64_t i = 0; i < shape.head_dim; ++i) {
      sum +=
          static_cast<double>(
              q[static_cast<size_t>((query * shape.n_heads + head) * shape.head_dim + i)]) *
          rounded(
              shape.dtype,
              k[static_cast<size_t>((position * shape.n_kv_heads + kv_head) * shape.head_dim + i)]);
    }
    return sum;
  }

  Shape shape;
  size_t n_picks;
  std::vector<float> q, k;
  std::unique_ptr<TwinCache> cache;
  std::unique_ptr<DeviceArray<float>> q_device;
  std::unique_ptr<DeviceArray<int32_t>> picks;
};

class CudaScoreDecode : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (cuda_device() && !own_) own_ = std::make_unique<cuda::OwnContext>();
  }
  static void TearDownTestSuite() { own_.reset(); }
  void score(std::span<const ScoreArgs> list) {
    own_->synchronize();
    for (const ScoreArgs& a : list) ASSERT_TRUE(cuda::score_decode_fits(a));
    cuda::score_decode(own_->get(), list);
    own_->synchronize();
  }
  static std::unique_ptr<cuda::OwnContext> own_;
};
std::unique_ptr<cuda::OwnContext> CudaScoreDecode::own_;

const Shape kShapes[] = {
    {1, 1, 1, 64, 0, 1, 1, 1, 1, DType::kF16},
    {1, 9, 3, 64, 4, 9, 12, 4, 1, DType::kF16},  // fewer keys than picks of all heads
    {1, 9, 3, 64, 32, 1000, 1100, 4, 1, DType::kBF16},
    {1, 9, 3, 64, 33, 3001, 3001, 4, 1, DType::kF16},
    {1, 32, 8, 128, 32, 1500, 1600, 4, 1, DType::kBF16},
    {1, 32, 8, 128, 511, 2049, 2049, 16, 1, DType::kF16},
    {2, 32, 8, 128, 512, 1024, 1030, 8, 1, DType::kF16},
    {8, 32, 8, 128, 31, 1111, 1120, 4, 1, DType::kBF16},
    {8, 32, 8, 128, 31, 1111, 1120, 4, 3, DType::kBF16},
    {5, 6, 3, 64, 17, 900, 920, 9, 2, DType::kBF16},
    {8, 16, 1, 64, 5, 700, 720, 4, 1, DType::kF16},  // 128 columns
    {3, 14, 2, 64, 5, 2700, 2720, 12, 1, DType::kBF16},
    {1, 4, 2, 80, 7, 800, 810, 4, 1, DType::kBF16},
    {4, 4, 2, 96, 7, 800, 810, 3, 1, DType::kF16},
    {1, 28, 4, 112, 7, 800, 810, 4, 1, DType::kBF16},
    {1, 8, 4, 256, 7, 1800, 1810, 4, 1, DType::kF16},
    {6, 8, 1, 256, 7, 800, 810, 16, 1, DType::kBF16},
    {1, 9, 3, 64, 32, 40'000, 40'100, 4, 1, DType::kF16},
    {1, 8, 2, 128, 32, 30'007, 30'010, 4, 1, DType::kBF16},
};

TEST_F(CudaScoreDecode, EqualsTheReferenceWhereSumsAreExact) {
  unsigned seed = 1;
  for (const Values values : {Values::kIntegers, Values::kBroken, Values::kZero}) {
    for (const Shape& s : kShapes) {
      const Case c(s, values, seed++);
      const ScoreArgs a = c.device_args();
      score({&a, 1});
      EXPECT_EQ(c.result(), c.reference()) << s;
    }
  }
}

TEST_F(CudaScoreDecode, DiffersFromTheReferenceByRoundingAlone) {
  unsigned seed = 50;
  for (const Shape& s : kShapes) {
    Case c(s, Values::kNormal, seed++);
    const ScoreArgs a = c.device_args();
    score({&a, 1});
    const std::vector<int32_t> got = c.result(), want = c.reference();
    for (size_t i = 0; i < got.size(); ++i) {
      if (got[i] == want[i]) continue;
      ASSERT_GE(got[i], s.begin) << s;
      ASSERT_LT(got[i], s.end) << s;
      EXPECT_NEAR(c.score(i, got[i]), c.score(i, want[i]), 1e-4) << s;
    }
    c.poison();
    score({&a, 1});
    EXPECT_EQ(c.result(), got) << s;
  }
}

TEST_F(CudaScoreDecode, ServesListsOfSequences) {
  std::vector<std::unique_ptr<Case>> cases;
  std::vector<ScoreArgs> list;
  for (unsigned i = 0; i < 60; ++i) {  // more than one launch takes
    const int64_t end = 40 + 37 * i * (i % 3 == 0 ? 3 : 1);
    cases.push_back(
        std::make_unique<Case>(Shape{1, 6, 2, 64, 1 + i % 37, end, end + 5, 4, 1, DType::kF16},
                               Values::kIntegers, 200 + i));
    list.push_back(cases.back()->device_args());
  }
  for (unsigned i = 0; i < 6; ++i) {  // another geometry
    const int64_t end = 1000 + 100 * i;
    cases.push_back(
        std::make_unique<Case>(Shape{2, 8, 2, 128, 1 + i % 37, end, end + 5, 4, 1, DType::kBF16},
                               Values::kIntegers, 300 + i));
    list.push_back(cases.back()->device_args());
  }
  score(list);
  for (size_t i = 0; i < cases.size(); ++i)
    EXPECT_EQ(cases[i]->result(), cases[i]->reference()) << i;

  for (const auto& c : cases) c->poison();
  own_->synchronize();
  cuda::Graph graph(own_->get().stream, [&] { cuda::score_decode(own_->get(), list); });
  graph.launch();
  own_->synchronize();
  for (size_t i = 0; i < cases.size(); ++i)
    EXPECT_EQ(cases[i]->result(), cases[i]->reference()) << i;
}

TEST_F(CudaScoreDecode, RefusesWhatItDoesNotServe) {
  KvPages pages{nullptr, nullptr, DType::kF16, 2, 64};
  ScoreArgs a{nullptr, 1, 8, pages, 0, 10, 4, 1, false, nullptr};
  EXPECT_TRUE(cuda::score_decode_fits(a));
  a.block1 = true;
  EXPECT_FALSE(cuda::score_decode_fits(a));
  a.block1 = false;
  a.n_queries = 9;
  EXPECT_FALSE(cuda::score_decode_fits(a));
  a.n_queries = 1;
  a.pages.dtype = DType::kF32;
  EXPECT_FALSE(cuda::score_decode_fits(a));
  a.pages.dtype = DType::kF16;
  a.pages.head_dim = 72;
  EXPECT_FALSE(cuda::score_decode_fits(a));
}

// Scored, voted and expanded in one go, or one after the other: the same, for one sequence and several.
TEST_F(CudaScoreDecode, RecallEqualsItsParts) {
  struct Lists {
    Lists(int64_t n_picks, int32_t n_anchors, int32_t span)
        : picks(n_picks),
          anchors(n_anchors + 1),
          votes(n_anchors + 1),
          n_found(1),
          positions(static_cast<size_t>(n_anchors) * span + 1),
          n_positions(1) {
      for (auto* list : {&picks, &anchors, &votes, &n_found, &positions, &n_positions}) {
        list->fill_bytes(0xA5);
      }
    }
    DeviceArray<int32_t> picks, anchors, votes, n_found, positions, n_positions;
  };
  struct Asked {
    std::vector<ScoreArgs> scores;
    std::vector<VoteArgs> votes;
    std::vector<ExpandArgs> expands;
    void add(const Case& c, const Lists& l, int32_t n_anchors, int32_t span) {
      scores.push_back(c.args(c.q_device->data(), c.cache->device_pages, l.picks.data()));
      votes.push_back({l.picks.data(), static_cast<int64_t>(c.n_picks), c.shape.begin, c.shape.end,
                       n_anchors, l.anchors.data(), l.votes.data(), l.n_found.data()});
      expands.push_back({l.anchors.data(), l.n_found.data(), span, c.shape.begin, c.shape.end,
                         l.positions.data(), l.n_positions.data()});
    }
  };
  unsigned seed = 900;
  for (const size_t n_sequences : {1u, 3u, 17u}) {
    for (const int32_t n_anchors : {1, 20, 127}) {
      for (const int32_t span : {1, 7, 32}) {
        std::vector<std::unique_ptr<Case>> cases;
        std::vector<std::unique_ptr<Lists>> all, one;
        Asked together, apart;
        for (size_t i = 0; i < n_sequences; ++i) {
          const auto end = static_cast<int64_t>(40 + (seed * 37) % 900);
          const Shape shape = span == 7
                                  ? Shape{1, 9, 3, 64, 33, end, end + 20, 3, 1, DType::kF16}
                                  : Shape{1, 32, 8, 128, 32, end, end + 20, 4, 1, DType::kBF16};
          cases.push_back(std::make_unique<Case>(
              shape, seed % 3 == 0 ? Values::kIntegers : Values::kNormal, seed));
          ++seed;
          for (auto* lists : {&all, &one}) {
            lists->push_back(std::make_unique<Lists>(cases.back()->n_picks, n_anchors, span));
          }
          together.add(*cases.back(), *all.back(), n_anchors, span);
          apart.add(*cases.back(), *one.back(), n_anchors, span);
        }
        device().recall(stream_, together.scores, together.votes, together.expands);
        device().score(stream_, apart.scores);
        device().vote(stream_, apart.votes);
        device().expand(stream_, apart.expands);
        for (size_t i = 0; i < n_sequences; ++i) {
          EXPECT_EQ(all[i]->picks.download(), one[i]->picks.download());
          EXPECT_EQ(all[i]->n_found.download(), one[i]->n_found.download());
          EXPECT_EQ(all[i]->anchors.download(), one[i]->anchors.download());
          EXPECT_EQ(all[i]->votes.download(), one[i]->votes.download());
          EXPECT_EQ(all[i]->n_positions.download(), one[i]->n_positions.download());
          EXPECT_EQ(all[i]->positions.download(), one[i]->positions.download());
        }
      }
    }
  }
}

}  // namespace
}  // namespace reattn::kernels
