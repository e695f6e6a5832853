// Scoring in int8 on the CUDA device: integer sums are exact and a score is two products, so the fast kernel's picks are the plain
// kernel's and the reference's in every bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>

#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/reference.hpp"
#include "kernels/cuda/select/score.hpp"
#include "tests/kernels/cuda_context.hpp"
#include "tests/kernels/int8_keys.hpp"

namespace reattn::kernels {
namespace {

struct Shape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t middle_begin, middle_end, int8_end;
  int32_t top_k = 4, vote_stride = 1;
  bool block1 = false;
  DType dtype = DType::kBF16;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", middle [" << s.middle_begin << ", "
             << s.middle_end << "), int8 to " << s.int8_end << ", top_k " << s.top_k << ", stride "
             << s.vote_stride << ", block1 " << s.block1 << ", " << dtype_info(s.dtype).name;
}

enum class Values { kNormal, kTies, kNegativeScores, kAscending, kStrangeScales };

cuda::OwnContext& own() {
  static cuda::OwnContext context;
  return context;
}

// n elements in the memory of the test's own context, whose kernels are called here.
template <class T>
class Array {
 public:
  explicit Array(const std::vector<T>& from)
      : n_(from.size()), data_(own().memory().allocate(bytes())) {
    cuda::check(cudaMemcpy(data_, from.data(), bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~Array() { own().memory().release(data_, bytes()); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  T* data() const { return static_cast<T*>(data_); }
  std::vector<T> download() const {
    std::vector<T> out(n_);
    cuda::check(cudaMemcpy(out.data(), data_, bytes(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return out;
  }

 private:
  size_t bytes() const { return n_ * sizeof(T); }
  size_t n_;
  void* data_;
};

// A middle made of int8 keys below int8_end and of native ones above. Native pages below are missing.
class Case {
 public:
  Case(const Shape& s, Values values, unsigned seed) : shape(s) {
    std::mt19937 random(seed);
    const auto integer = [&](int most) {
      return static_cast<int>(random() % static_cast<unsigned>(2 * most + 1)) - most;
    };
    std::normal_distribution<float> normal;
    // Native sums are exact in any order where all numbers are small integers.
    const bool integers = values != Values::kNormal || s.int8_end < s.middle_end;
    q_host.resize(static_cast<size_t>(s.n_queries * s.n_heads * s.head_dim));
    for (float& x : q_host) {
      x = values == Values::kNegativeScores || values == Values::kAscending
              ? static_cast<float>(1 + random() % 3)
          : integers ? static_cast<float>(integer(3))
                     : normal(random);
    }
    const KvPages like{nullptr, nullptr, s.dtype, s.n_kv_heads, s.head_dim};
    const int64_t n_pages = (s.middle_end + kPageTokens - 1) / kPageTokens;
    const size_t native_bytes =
        static_cast<size_t>(row_bytes(s.dtype, kPageTokens * s.n_kv_heads * s.head_dim));
    for (int64_t p = 0; p < n_pages; ++p) {
      k_memory_.emplace_back((p + 1) * kPageTokens > s.int8_end ? native_bytes : 0,
                             std::byte{0xFF});
      k8_memory_.emplace_back(Int8Keys::page_bytes(like), std::byte{Int8Keys::kPoison});
    }
    for (int64_t p = 0; p < n_pages; ++p) {
      k_table_.push_back(k_memory_[static_cast<size_t>(p)].empty()
                             ? nullptr
                             : k_memory_[static_cast<size_t>(p)].data());
      k8_table_.push_back(k8_memory_[static_cast<size_t>(p)].data());
    }
    KvPages pages = like;
    pages.k8 = k8_table_.data();
    for (int32_t head = 0; head < s.n_kv_heads; ++head) {
      for (int64_t t = 0; t < s.middle_end; ++t) {
        for (int32_t i = 0; i < s.head_dim; ++i) {
          int key = values == Values::kTies ? integer(1)
                                            : std::clamp(integer(127) + integer(40), -127, 127);
          if (values == Values::kNegativeScores) key = -1 - std::abs(key) / 8;
          if (values == Values::kAscending) key = i < 2 ? static_cast<int>(t / 96) - 60 : 0;
          if (t < s.int8_end) {
            reference::int8_page(pages, t)[reference::row_offset(pages, head, t) + i] =
                static_cast<int8_t>(std::clamp(key, -127, 127));
          } else {
            put(t, reference::row_offset(pages, head, t) + i, static_cast<float>(key / 32));
          }
        }
        if (t < s.int8_end && t % kScaleBlock == 0) {
          reference::int8_scale_of(pages, head, t) = scale(values, random);
        }
      }
    }
    for (auto* memory : {&k_memory_, &k8_memory_}) {
      std::vector<void*> table;
      for (const std::vector<std::byte>& page : *memory) {
        if (!page.empty()) device_memory_.push_back(std::make_unique<Array<std::byte>>(page));
        table.push_back(page.empty() ? nullptr : device_memory_.back()->data());
      }
      device_tables_.push_back(std::make_unique<Array<void*>>(table));
    }
    q_device_ = std::make_unique<Array<float>>(q_host);
    picks_ = std::make_unique<Array<int32_t>>(std::vector<int32_t>(n_picks(), -3));
  }

  size_t n_picks() const {
    return static_cast<size_t>(n_voters(shape.n_queries, shape.vote_stride) * shape.n_heads *
                               shape.top_k);
  }
  ScoreArgs device_args() const {
    return args(q_device_->data(), device_tables_[0]->data(), device_tables_[1]->data(),
                picks_->data());
  }
  std::vector<int32_t> picks(cuda::ScoreKernel kernel) {
    picks_ = std::make_unique<Array<int32_t>>(std::vector<int32_t>(n_picks(), -3));
    const ScoreArgs a = device_args();
    cuda::score_with(own().get(), {&a, 1}, kernel);
    return download();
  }
  std::vector<int32_t> download() const {
    cuda::OwnContext::synchronize();
    return picks_->download();
  }
  std::vector<int32_t> reference_picks() {
    std::vector<int32_t> out(n_picks(), -2);
    reference::score(args(q_host.data(), k_table_.data(), k8_table_.data(), out.data()));
    return out;
  }

  Shape shape;
  std::vector<float> q_host;

 private:
  static float scale(Values values, std::mt19937& random) {
    const auto part = static_cast<float>(random() % 1000) / 1000;
    if (values == Values::kTies) return 0.5F;
    if (values == Values::kAscending) return 1;
    if (values == Values::kStrangeScales) {
      constexpr float kStrange[] = {0,
                                    1e-42F,
                                    1e-30F,
                                    1e30F,
                                    std::numeric_limits<float>::infinity(),
                                    std::numeric_limits<float>::quiet_NaN(),
                                    1,
                                    2};
      return kStrange[random() % 8];
    }
    return random() % 16 == 0 ? 0 : 0.004F * (1 + part);
  }
  void put(int64_t t, int64_t at, float x) {
    std::byte* page = k_memory_[static_cast<size_t>(t / kPageTokens)].data();
    switch (shape.dtype) {
      case DType::kF16:
        reinterpret_cast<uint16_t*>(page)[at] = reference::float_to_half(x);
        break;
      case DType::kBF16:
        reinterpret_cast<uint16_t*>(page)[at] = reference::float_to_bf16(x);
        break;
      default:
        reinterpret_cast<float*>(page)[at] = x;
    }
  }
  ScoreArgs args(const float* q, void* const* k, void* const* k8, int32_t* picks) const {
    KvPages pages{k, k, shape.dtype, shape.n_kv_heads, shape.head_dim};
    pages.k8 = k8;
    return {
        q,           shape.n_queries,   shape.n_heads, pages, shape.middle_begin, shape.middle_end,
        shape.top_k, shape.vote_stride, shape.block1,  picks, shape.int8_end};
  }

  std::vector<std::vector<std::byte>> k_memory_, k8_memory_;
  std::vector<void*> k_table_, k8_table_;
  std::vector<std::unique_ptr<Array<std::byte>>> device_memory_;
  std::vector<std::unique_ptr<Array<void*>>> device_tables_;  // of k and of k8
  std::unique_ptr<Array<float>> q_device_;
  std::unique_ptr<Array<int32_t>> picks_;
};

void expect_same(const std::vector<int32_t>& got, const std::vector<int32_t>& want,
                 const Shape& shape, const char* what) {
  ASSERT_EQ(got.size(), want.size());
  size_t n = 0, first = 0;
  for (size_t i = got.size(); i-- > 0;) {
    if (got[i] == want[i]) continue;
    first = i;
    ++n;
  }
  ASSERT_EQ(n, 0U) << what << ", " << shape << ": of " << got.size() << " picks, the first at "
                   << first << ": " << got[first] << ", not " << want[first];
}

class CudaScoreInt8 : public testing::Test {
 protected:
  void SetUp() override {
    int n = 0;
    if (cudaGetDeviceCount(&n) != cudaSuccess || n == 0) GTEST_SKIP() << "no CUDA device";
  }
};

// Every top_k class, ragged ends, rows that fill no tile, groups of any size, int8_end anywhere.
std::vector<Shape> shapes() {
  std::vector<Shape> all;
  const int32_t heads[][2] = {{4, 1}, {9, 3}, {7, 1}, {2, 2}};
  const int64_t middles[][2] = {{32, 545},   {0, 128},   {131, 700}, {96, 97},
                                {500, 1500}, {32, 1056}, {384, 512}};
  const int32_t top_k[] = {4, 1, 16, 3, 7};
  const DType dtypes[] = {DType::kBF16, DType::kF16, DType::kF32};
  unsigned i = 0;
  for (const int64_t n_queries : {1, 9, 33, 70}) {
    for (const auto& h : heads) {
      for (const int32_t head_dim : {64, 128}) {
        for (const bool block1 : {false, true}) {
          const auto& m = middles[(i * 5 + i / 7) % 7];
          const int64_t whole = (m[1] + kScaleBlock - 1) / kScaleBlock * kScaleBlock;
          const int64_t ends[] = {whole, whole + 512, complete_blocks(m[1]), 256,
                                  complete_blocks((m[0] + m[1]) / 2)};
          const int64_t int8_end = ends[i % 5];
          if (n_queries * h[0] * head_dim * (m[1] - m[0]) < 25'000'000) {
            all.push_back({n_queries, h[0], h[1], head_dim, m[0], m[1], int8_end,
                           top_k[i % 5 * 2 % 5], i % 4 == 3 ? 2 : 1, block1, dtypes[i / 2 % 3]});
          }
          ++i;
        }
      }
    }
  }
  return all;
}

TEST_F(CudaScoreInt8, GivesTheReferencesPicks) {
  unsigned seed = 1;
  for (const Values values : {Values::kNormal, Values::kTies, Values::kNegativeScores,
                              Values::kAscending, Values::kStrangeScales}) {
    for (const Shape& shape : shapes()) {
      Case c(shape, values, seed++);
      const std::vector<int32_t> want = c.reference_picks();
      expect_same(c.picks(cuda::ScoreKernel::kGeneral), want, shape, "plain");
      expect_same(c.picks(cuda::ScoreKernel::kAuto), want, shape, "fast");
      if (HasFatalFailure()) return;
    }
  }
}

// Long enough for several splits and for lists that have settled.
std::vector<Shape> long_shapes() {
  return {{512, 8, 2, 128, 32, 20'011, 20'096},
          {512, 8, 2, 128, 32, 20'011, 19'968},
          {512, 8, 2, 128, 32, 20'000, 20'096, 4, 1, true},
          {512, 8, 2, 128, 32, 20'000, 10'112, 4, 1, true},
          {512, 6, 2, 64, 32, 30'000, 30'080, 4, 1, false, DType::kF16},
          {300, 9, 3, 64, 33, 30'001, 30'080, 16},
          {256, 9, 3, 64, 32, 30'001, 30'080, 1, 1, true},
          {200, 8, 1, 128, 5, 40'000, 40'064, 16, 3, false, DType::kF16},
          {300, 9, 3, 64, 33, 30'001, 30'080, 1}};
}

TEST_F(CudaScoreInt8, FastAndPlainKernelAgreeOnLongCaches) {
  unsigned seed = 1'000;
  for (const Shape& shape : long_shapes()) {
    for (const Values values : {Values::kNormal, Values::kTies, Values::kNegativeScores}) {
      Case c(shape, values, seed++);
      const std::vector<int32_t> want = c.picks(cuda::ScoreKernel::kGeneral);
      for (int i = 0; i < 3; ++i)
        expect_same(c.picks(cuda::ScoreKernel::kAuto), want, shape, "fast");
      if (HasFatalFailure()) return;
    }
  }
}

// Lists of more than one launch, entries with and without native ends among them.
TEST_F(CudaScoreInt8, AListGivesWhatItsSequencesGiveAlone) {
  std::vector<std::unique_ptr<Case>> cases;
  std::vector<std::vector<int32_t>> alone;
  std::vector<ScoreArgs> list;
  for (int i = 0; i < 22; ++i) {
    const int64_t end = 700 + 531 * i;
    const int64_t int8_end =
        i % 4 == 3 ? 0 : complete_blocks(end) + (i % 3 == 0 ? 128 : -128 * (i % 3 - 1));
    const Shape shape{i == 5 ? 0 : 40 + i, 4,         2,     i < 18 ? 64 : 80, 32, end, int8_end,
                      i < 14 ? 4 : 16,     1 + i % 2, i > 15};
    cases.push_back(std::make_unique<Case>(shape, Values::kTies, 2'000 + static_cast<unsigned>(i)));
    alone.push_back(shape.n_queries == 0 ? std::vector<int32_t>()
                                         : cases.back()->picks(cuda::ScoreKernel::kGeneral));
  }
  for (auto& c : cases) {
    if (c->shape.n_queries > 0) c->picks(cuda::ScoreKernel::kGeneral);
    list.push_back(c->device_args());
  }
  for (const ScoreArgs& a : list) {
    if (a.n_queries == 0) continue;
    const size_t n =
        static_cast<size_t>(n_voters(a.n_queries, a.vote_stride) * a.n_heads * a.top_k);
    cuda::check(cudaMemset(a.picks, 0xA5, n * sizeof(int32_t)), "cudaMemset");
  }
  cuda::OwnContext::synchronize();
  cuda::score_with(own().get(), list, cuda::ScoreKernel::kAuto);
  for (size_t i = 0; i < cases.size(); ++i) {
    if (cases[i]->shape.n_queries == 0) continue;
    expect_same(cases[i]->download(), alone[i], cases[i]->shape, "of the list");
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace reattn::kernels
