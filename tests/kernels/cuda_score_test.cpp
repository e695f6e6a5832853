// Scoring on the CUDA device: the fast kernel and the general one against the reference, and against each other where the reference
// would take too long.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/lt.hpp"
#include "kernels/cuda/select/score.hpp"
#include "tests/kernels/cuda_fixture.hpp"

namespace reattn::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Shape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t middle_begin, middle_end;
  int32_t top_k = 4, vote_stride = 1;
  bool block1 = false;
  DType dtype = DType::kBF16;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", middle [" << s.middle_begin << ", "
             << s.middle_end << "), top_k " << s.top_k << ", stride " << s.vote_stride
             << ", block1 " << s.block1 << ", " << dtype_info(s.dtype).name;
}

enum class Values { kIntegers, kNormal, kNegativeScores };

float rounded(DType dtype, float x) {
  switch (dtype) {
    case DType::kF16:
      return reference::half_to_float(reference::float_to_half(x));
    case DType::kBF16:
      return reference::bf16_to_float(reference::float_to_bf16(x));
    default:
      return x;
  }
}

// A context of its own for what only the inside of the device offers.
struct Inside {
  cudaStream_t stream = nullptr;
  cuda::Memory memory{0};
  cuda::Scratch scratch{memory};
  cuda::Lt lt;
  cuda::Context context{stream, scratch, memory, lt, 132, 90, true};
};

class Case {
 public:
  // Small integers make every sum exact, whatever its order, and ties frequent.
  Case(const Shape& s, Values values, unsigned seed = 1) : shape(s) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&](bool key) {
      const float x = values == Values::kNormal
                          ? normal(random)
                          : static_cast<float>(static_cast<int>(random() % 7) - 3);
      return values == Values::kNegativeScores ? (key ? -1 : 1) * (std::abs(x) + 1) : x;
    };
    q.resize(static_cast<size_t>(s.n_queries * s.n_heads * s.head_dim));
    k.resize(static_cast<size_t>(s.middle_end * s.n_kv_heads * s.head_dim));
    for (float& x : q) x = rounded(s.dtype, draw(false));
    for (float& x : k) x = draw(true);
  }

  void place() {
    cache = std::make_unique<TwinCache>(shape.dtype, shape.n_kv_heads, shape.head_dim, k, k);
    q_device = std::make_unique<DeviceArray<float>>(q);
    picks = std::make_unique<DeviceArray<int32_t>>(n_picks());
  }
  size_t n_picks() const {
    return static_cast<size_t>(n_voters(shape.n_queries, shape.vote_stride) * shape.n_heads *
                               shape.top_k);
  }
  ScoreArgs args(const float* q_at, const KvPages& pages, int32_t* picks_at) const {
    return {q_at,        shape.n_queries,    shape.n_heads,
            pages,       shape.middle_begin, shape.middle_end,
            shape.top_k, shape.vote_stride,  shape.block1,
            picks_at};
  }
  ScoreArgs device_args() {
    if (!cache) place();
    picks->fill_bytes(0xA5);
    return args(q_device->data(), cache->device_pages, picks->data());
  }
  std::vector<int32_t> device_picks() {
    Stream s;
    const ScoreArgs a = device_args();
    cuda_device()->score(s, {&a, 1});
    return picks->download();
  }
  std::vector<int32_t> general_picks() {
    static Inside inside;
    const ScoreArgs a = device_args();
    picks->download();  // waits for what the device was told to do with them
    cuda::score_with(inside.context, {&a, 1}, cuda::ScoreKernel::kGeneral);
    cuda::check(cudaStreamSynchronize(inside.stream), "general");
    return picks->download();
  }
  std::vector<int32_t> reference_picks() {
    if (!cache) place();
    std::vector<int32_t> out(n_picks(), -2);
    reference::score(args(q.data(), cache->host_pages(), out.data()));
    return out;
  }
  double exact(size_t row, int32_t position) const {
    const int32_t head = static_cast<int32_t>(row) % shape.n_heads;
    const int64_t query =
        shape.n_queries - 1 - static_cast<int64_t>(row) / shape.n_heads * shape.vote_stride;
    const int32_t kv = head / (shape.n_heads / shape.n_kv_heads);
    double sum = 0;
    for (int32_t i = 0; i < shape.head_dim; ++i) {
      sum +=
          static_cast<double>(
              q[static_cast<size_t>((query * shape.n_heads + head) * shape.head_dim + i)]) *
          static_cast<double>(rounded(
              shape.dtype,
              k[static_cast<size_t>(
                  (static_cast<int64_t>(position) * shape.n_kv_heads + kv) * shape.head_dim + i)]));
    }
    return sum;
  }
  // Rank for rank the scores are those of `want` to rounding, and no position is there twice.
  void expect_as_good(const std::vector<int32_t>& got, const std::vector<int32_t>& want) const {
    const double eps = 2e-5 * shape.head_dim;
    const auto top_k = static_cast<size_t>(shape.top_k);
    int n_different = 0;
    for (size_t row = 0; row < got.size() / top_k; ++row) {
      std::set<int32_t> seen;
      for (size_t i = row * top_k; i < (row + 1) * top_k; ++i) {
        ASSERT_TRUE(got[i] < 0 || seen.insert(got[i]).second) << shape << ", row " << row;
        if (got[i] == want[i]) continue;
        ++n_different;
        ASSERT_GE(got[i], shape.middle_begin) << shape << ", row " << row;
        ASSERT_LT(got[i], shape.middle_end) << shape << ", row " << row;
        ASSERT_GE(want[i], 0) << shape << ", row " << row;
        ASSERT_NEAR(exact(row, got[i]), exact(row, want[i]), eps) << shape << ", row " << row;
      }
    }
    EXPECT_LE(n_different, static_cast<int>(got.size()) / 50 + 4) << shape;
  }

  Shape shape;
  std::vector<float> q, k;
  std::unique_ptr<TwinCache> cache;
  std::unique_ptr<DeviceArray<float>> q_device;
  std::unique_ptr<DeviceArray<int32_t>> picks;
};

// What differs, in few words.
void expect_same(const std::vector<int32_t>& got, const std::vector<int32_t>& want,
                 const Shape& shape) {
  ASSERT_EQ(got.size(), want.size());
  size_t n = 0, first = got.size();
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i]) continue;
    first = std::min(first, i);
    ++n;
  }
  ASSERT_EQ(n, 0U) << shape << ": of " << got.size() << " picks, the first at " << first << ": "
                   << got[first] << ", not " << want[first];
}

std::vector<Shape> general_shapes() {
  std::vector<Shape> all;
  const int32_t heads[][2] = {{1, 1}, {9, 3}, {8, 1}, {4, 4}};
  const int64_t middles[][2] = {{0, 1}, {32, 545}, {7, 1700}, {500, 2099}};
  const DType dtypes[] = {DType::kBF16, DType::kF16, DType::kF32};
  const int32_t top_k[] = {4, 1, 8, 16, 3};
  unsigned i = 0;
  for (const int64_t n_queries : {1, 7, 70}) {
    for (const auto& h : heads) {
      for (const int32_t head_dim : {8, 20, 64, 80, 128, 256}) {
        const auto& m = middles[(i * 7 + i / 4) % 4];
        if (n_queries * h[0] * head_dim * (m[1] - m[0]) < 15'000'000) {
          all.push_back({n_queries, h[0], h[1], head_dim, m[0], m[1], top_k[i % 5],
                         i % 3 == 0 ? 3 : 1, i % 2 == 1, dtypes[i % 3]});
        }
        ++i;
      }
    }
  }
  return all;
}

// Those the fast kernel is for: every top_k class, ragged ends, rows that fill no tile, groups of any size.
std::vector<Shape> fast_shapes() {
  std::vector<Shape> all;
  const int32_t heads[][2] = {{4, 1}, {9, 3}, {7, 1}, {2, 2}};
  const int64_t middles[][2] = {{32, 545}, {0, 128}, {131, 700}, {96, 97}, {500, 1500}, {32, 1056}};
  const int32_t top_k[] = {4, 1, 16, 3, 7};
  unsigned i = 0;
  for (const int64_t n_queries : {9, 33, 70}) {
    for (const auto& h : heads) {
      for (const int32_t head_dim : {64, 128}) {
        for (const bool block1 : {false, true}) {
          const auto& m = middles[(i * 5 + i / 6) % 6];
          if (n_queries * h[0] * head_dim * (m[1] - m[0]) < 25'000'000) {
            all.push_back({n_queries, h[0], h[1], head_dim, m[0], m[1], top_k[i % 5],
                           i % 4 == 3 ? 2 : 1, block1, i % 3 == 2 ? DType::kF16 : DType::kBF16});
          }
          ++i;
        }
      }
    }
  }
  return all;
}

using CudaScore = CudaTest;

TEST_F(CudaScore, GeneralKernelGivesTheReferencesPicks) {
  for (const auto& shapes : {general_shapes(), fast_shapes()}) {
    for (const Shape& shape : shapes) {
      Case c(shape, Values::kIntegers);
      expect_same(c.general_picks(), c.reference_picks(), shape);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(CudaScore, IntegerScoresGiveTheReferencesPicksTiesIncluded) {
  for (const auto& shapes : {fast_shapes(), general_shapes()}) {
    for (const Shape& shape : shapes) {
      Case c(shape, Values::kIntegers, 2);
      expect_same(c.device_picks(), c.reference_picks(), shape);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(CudaScore, NegativeScoresGiveTheReferencesPicks) {
  for (const Shape& shape : fast_shapes()) {
    Case c(shape, Values::kNegativeScores, 3);
    expect_same(c.device_picks(), c.reference_picks(), shape);
    if (HasFatalFailure()) return;
  }
}

TEST_F(CudaScore, RealScoresAreAsGoodAsTheReferencesToRounding) {
  for (const auto& shapes : {fast_shapes(), general_shapes()}) {
    for (const Shape& shape : shapes) {
      Case c(shape, Values::kNormal, 4);
      c.expect_as_good(c.device_picks(), c.reference_picks());
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(CudaScore, NeverPicksNanOrMinusInfinity) {
  for (Shape shape : fast_shapes()) {
    Case c(shape, Values::kIntegers, 5);
    std::mt19937 random(6);
    const float strange[] = {kNan, kInf, -kInf, -kNan};
    for (size_t i = 0; i < c.k.size(); i += 1 + random() % 300) c.k[i] = strange[random() % 4];
    expect_same(c.device_picks(), c.reference_picks(), shape);
    expect_same(c.general_picks(), c.reference_picks(), shape);
    if (HasFatalFailure()) return;
  }
  Case c({20, 4, 1, 64, 0, 300, 4, 1, false, DType::kBF16}, Values::kIntegers);
  for (float& x : c.k) x = kNan;
  EXPECT_EQ(c.device_picks(), std::vector<int32_t>(c.n_picks(), -1));
}

// Long enough for several splits and for lists that have settled.
std::vector<Shape> long_shapes() {
  return {{512, 8, 2, 128, 32, 20'011, 4, 1, false, DType::kBF16},
          {512, 8, 2, 128, 32, 20'011, 4, 1, true, DType::kBF16},
          {512, 6, 2, 64, 32, 30'000, 4, 1, false, DType::kF16},
          {300, 9, 3, 64, 33, 30'001, 16, 1, false, DType::kBF16},
          {256, 9, 3, 64, 32, 30'001, 1, 1, true, DType::kBF16},
          {200, 8, 1, 128, 5, 40'000, 16, 3, false, DType::kF16}};
}

TEST_F(CudaScore, FastAndGeneralKernelAgreeOnLongCaches) {
  for (const Shape& shape : long_shapes()) {
    for (const Values values : {Values::kIntegers, Values::kNegativeScores}) {
      Case c(shape, values, 7);
      expect_same(c.device_picks(), c.general_picks(), shape);
      if (HasFatalFailure()) return;
    }
    Case c(shape, Values::kNormal, 8);
    const std::vector<int32_t> got = c.device_picks();
    c.expect_as_good(got, c.general_picks());
    for (int i = 0; i < 3; ++i) expect_same(c.device_picks(), got, shape);
    if (HasFatalFailure()) return;
  }
}

// Best scores late: every tile has picks. Best scores early: none but the first has.
TEST_F(CudaScore, OrderOfTheKeysDoesNotMatter) {
  for (const bool ascending : {true, false}) {
    Shape shape{100, 4, 1, 128, 32, 9'000, 4, 1, false, DType::kBF16};
    Case c(shape, Values::kNegativeScores, 9);
    for (size_t t = 0; t < 9'000; ++t) {
      const auto x = static_cast<float>((ascending ? t : 9'000 - t) / 64);
      for (size_t i = 0; i < 128; ++i) c.k[t * 128 + i] = i < 2 ? x - 70 : 0;
    }
    expect_same(c.device_picks(), c.reference_picks(), shape);
  }
}

TEST_F(CudaScore, AListGivesWhatItsSequencesGiveAlone) {
  std::vector<std::unique_ptr<Case>> cases;
  for (int i = 0; i < 19; ++i) {  // more than one launch
    const int32_t top_k = i < 14 ? 4 : 16;
    cases.push_back(
        std::make_unique<Case>(Shape{i == 5 ? 0 : 40 + i, 4, 2, i < 17 ? 64 : 80, 32, 700 + 531 * i,
                                     top_k, 1 + i % 2, i > 15, DType::kBF16},
                               Values::kIntegers, 20 + static_cast<unsigned>(i)));
  }
  std::vector<ScoreArgs> list;
  std::vector<std::vector<int32_t>> alone;
  for (auto& c : cases) alone.push_back(c->general_picks());
  for (auto& c : cases) list.push_back(c->device_args());
  device().score(stream_, list);
  for (size_t i = 0; i < cases.size(); ++i) {
    expect_same(cases[i]->picks->download(), alone[i], cases[i]->shape);
  }
}

// Chunks of 512 queries that share a cache, each with its own end.
TEST_F(CudaScore, ASuperChunkGivesWhatItsChunksGiveAlone) {
  Case c({512, 8, 2, 128, 32, 12'345, 4, 1, false, DType::kBF16}, Values::kIntegers, 50);
  const ScoreArgs whole = c.device_args();
  std::vector<ScoreArgs> list;
  std::vector<std::unique_ptr<DeviceArray<int32_t>>> out;
  for (int i = 0; i < 4; ++i) {
    ScoreArgs a = whole;
    a.middle_end = 8'500 + 512 * i;
    out.push_back(std::make_unique<DeviceArray<int32_t>>(c.n_picks()));
    out.back()->fill_bytes(0xA5);
    a.picks = out.back()->data();
    list.push_back(a);
  }
  device().score(stream_, list);
  for (int i = 0; i < 4; ++i) {
    ScoreArgs a = list[static_cast<size_t>(i)];
    a.picks = whole.picks;
    device().score(stream_, {&a, 1});
    const std::vector<int32_t> together = out[static_cast<size_t>(i)]->download();
    expect_same(together, c.picks->download(), c.shape);
    c.shape.middle_end = a.middle_end;
    expect_same(together, c.general_picks(), c.shape);
  }
}

TEST_F(CudaScore, RefusesWhatIsOutOfRange) {
  Case c({9, 4, 2, 64, 32, 300, 4, 1, false, DType::kBF16}, Values::kIntegers);
  const ScoreArgs good = c.device_args();
  std::vector<ScoreArgs> bad(6, good);
  bad[0].top_k = 17;
  bad[1].top_k = 0;
  bad[2].middle_end = 32;
  bad[3].vote_stride = 0;
  bad[4].n_heads = 3;
  bad[5].pages.dtype = DType::kQ8_0;
  for (const ScoreArgs& a : bad) EXPECT_THROW(device().score(stream_, {&a, 1}), Error);
  device().score(stream_, {});
}

}  // namespace
}  // namespace reattn::kernels
