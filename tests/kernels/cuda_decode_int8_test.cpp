// Scoring and attention for few queries over caches in int8, against the reference and the plain kernels: picks equal, outputs within
// rounding.
#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/cpu/reference/reference.hpp"
#include "kernels/cuda/attend/attend.hpp"
#include "kernels/cuda/attend/attend_decode.hpp"
#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/select/score.hpp"
#include "kernels/cuda/select/score_decode.hpp"
#include "tests/kernels/cuda_context.hpp"
#include "tests/kernels/cuda_int8_cache.hpp"

namespace reattn::kernels {
namespace {

size_t size(int64_t n) {
  return static_cast<size_t>(n);
}

float rounded(DType dtype, float x) {
  return dtype == DType::kBF16  ? reference::bf16_to_float(reference::float_to_bf16(x))
         : dtype == DType::kF16 ? reference::half_to_float(reference::float_to_half(x))
                                : x;
}

class CudaDecodeInt8 : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (cuda_device() && !own_) own_ = std::make_unique<cuda::OwnContext>();
  }
  static void TearDownTestSuite() { own_.reset(); }
  static std::unique_ptr<cuda::OwnContext> own_;
};
std::unique_ptr<cuda::OwnContext> CudaDecodeInt8::own_;

struct ScoreShape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t begin, end, n_tokens, int8_end;
  int32_t top_k, stride;
  DType dtype;
};

std::ostream& operator<<(std::ostream& out, const ScoreShape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", middle [" << s.begin << ", " << s.end
             << "), int8 to " << s.int8_end << ", top_k " << s.top_k << ", stride " << s.stride
             << ", " << dtype_info(s.dtype).name;
}

// Integers: native sums are exact too. Broken: integers, and some keys are NaN or infinite. Zero: all queries are, and some blocks of
// keys.
enum class Values { kIntegers, kNormal, kBroken, kZero };

class ScoreCase {
 public:
  ScoreCase(const ScoreShape& s, Values values, unsigned seed)
      : shape(s), n_picks(size(n_voters(s.n_queries, s.stride) * s.n_heads * s.top_k)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&](int n) {
      return values == Values::kNormal ? normal(random)
                                       : static_cast<float>(static_cast<int>(random() % n) - n / 2);
    };
    q.resize(size(s.n_queries * s.n_heads * s.head_dim));
    for (float& x : q) x = draw(5);
    std::vector<float> k(size(s.n_tokens * s.n_kv_heads * s.head_dim));
    for (float& x : k) x = draw(9);
    if (values == Values::kZero) {
      std::fill(q.begin(), q.end(), 0.0F);
      std::fill(k.begin(), k.begin() + static_cast<std::ptrdiff_t>(k.size()) / 3, 0.0F);
    }
    if (values == Values::kBroken) {
      const float broken[] = {NAN, INFINITY, -INFINITY};
      for (size_t i = 0; i < 6 + k.size() / 20'000; ++i)
        k[random() % k.size()] = broken[random() % 3];
      q[random() % q.size()] = INFINITY;
    }
    cache = std::make_unique<Int8Cache>(s.dtype, s.n_kv_heads, s.head_dim, k, k, s.int8_end);
    q_device = std::make_unique<DeviceArray<float>>(q);
    picks = std::make_unique<DeviceArray<int32_t>>(n_picks + 8);
    poison();
  }

  void poison() { picks->fill_bytes(0xA5); }
  ScoreArgs args(const float* queries, const KvPages& pages, int32_t* out) const {
    return {queries,     shape.n_queries, shape.n_heads, pages, shape.begin,   shape.end,
            shape.top_k, shape.stride,    false,         out,   shape.int8_end};
  }
  ScoreArgs device_args() const {
    return args(q_device->data(), cache->device_pages, picks->data());
  }
  std::vector<int32_t> reference() const {
    std::vector<int32_t> out(n_picks);
    reference::score(args(q.data(), cache->host_pages, out.data()));
    return out;
  }
  std::vector<int32_t> result() const {
    std::vector<int32_t> out = picks->download();
    for (size_t i = n_picks; i < out.size(); ++i) {
      EXPECT_EQ(out[i], static_cast<int32_t>(0xA5A5A5A5));
    }
    out.resize(n_picks);
    return out;
  }

  ScoreShape shape;
  size_t n_picks;
  std::vector<float> q;
  std::unique_ptr<Int8Cache> cache;
  std::unique_ptr<DeviceArray<float>> q_device;
  std::unique_ptr<DeviceArray<int32_t>> picks;
};

const ScoreShape kScoreShapes[] = {
    {1, 1, 1, 64, 0, 1, 140, 0, 1, 1, DType::kF16},
    {1, 9, 3, 64, 4, 9, 140, 0, 4, 1, DType::kF16},  // fewer keys than picks of all heads
    {1, 9, 3, 64, 32, 1000, 1100, 0, 4, 1, DType::kBF16},
    {1, 9, 3, 64, 133, 3001, 3001, 0, 4, 1, DType::kF16},
    {1, 32, 8, 128, 32, 1500, 1600, 0, 4, 1, DType::kBF16},
    {1, 32, 8, 128, 511, 2049, 2049, 0, 16, 1, DType::kF16},
    {2, 32, 8, 128, 512, 1024, 1030, 0, 8, 1, DType::kF16},
    {8, 32, 8, 128, 31, 1111, 1120, 0, 4, 1, DType::kBF16},
    {8, 32, 8, 128, 31, 1111, 1120, 0, 4, 3, DType::kBF16},
    {1, 16, 1, 128, 31, 1111, 1120, 0, 4, 3, DType::kF16},
    {5, 6, 3, 64, 17, 900, 920, 0, 9, 2, DType::kBF16},
    {8, 16, 1, 64, 5, 700, 720, 0, 4, 1, DType::kF16},  // 128 columns
    {3, 14, 2, 64, 5, 2700, 2720, 0, 12, 1, DType::kBF16},
    {1, 12, 1, 64, 5, 2700, 2720, 0, 4, 1, DType::kBF16},
    {1, 4, 2, 80, 7, 800, 810, 0, 4, 1, DType::kBF16},
    {4, 4, 2, 96, 7, 800, 810, 0, 3, 1, DType::kF16},
    {1, 28, 4, 112, 7, 800, 810, 0, 4, 1, DType::kBF16},
    {6, 28, 4, 80, 7, 800, 810, 0, 4, 1, DType::kF16},
    {8, 28, 4, 112, 7, 800, 810, 0, 4, 1, DType::kF16},
    {1, 8, 4, 256, 7, 1800, 1810, 0, 4, 1, DType::kF16},
    {6, 8, 1, 256, 7, 800, 810, 0, 16, 1, DType::kBF16},
    {1, 9, 3, 64, 32, 20'000, 20'100, 0, 4, 1, DType::kF16},
    {1, 8, 2, 128, 32, 13'007, 13'010, 0, 4, 1, DType::kBF16},
};

TEST_F(CudaDecodeInt8, PicksAsTheReference) {
  unsigned seed = 1;
  for (const Values values : {Values::kNormal, Values::kIntegers, Values::kBroken, Values::kZero}) {
    for (const ScoreShape& shape : kScoreShapes) {
      std::vector<int64_t> ends = {complete_blocks(shape.end / 2)};
      if (values == Values::kNormal) ends = {complete_blocks(shape.n_tokens)};
      if (values == Values::kIntegers && shape.n_tokens < 10'000) {
        ends = {128, ends[0], complete_blocks(shape.end), complete_blocks(shape.n_tokens)};
      }
      for (const int64_t int8_end : ends) {
        ScoreShape s = shape;
        s.int8_end = int8_end;
        if (values == Values::kNormal)
          s.end = std::min(s.end, int8_end);  // native sums are rounded
        if (s.end <= s.begin || s.n_tokens < int8_end) continue;
        ScoreCase c(s, values, seed++);
        const ScoreArgs a = c.device_args();
        ASSERT_TRUE(cuda::score_decode_fits(a));
        own_->synchronize();
        cuda::score_decode(own_->get(), {&a, 1});
        own_->synchronize();
        const std::vector<int32_t> got = c.result();
        ASSERT_EQ(got, c.reference()) << s << ", values " << static_cast<int>(values);
        c.poison();
        own_->synchronize();
        cuda::score_with(own_->get(), {&a, 1}, cuda::ScoreKernel::kGeneral);
        own_->synchronize();
        ASSERT_EQ(c.result(), got) << s << ", values " << static_cast<int>(values);
      }
    }
  }
}

TEST_F(CudaDecodeInt8, PicksForListsOfAnyKind) {
  std::vector<std::unique_ptr<ScoreCase>> cases;
  std::vector<ScoreArgs> list;
  for (unsigned i = 0; i < 120; ++i) {  // more than one launch takes
    const int64_t end = 40 + 17 * i * (i % 3 == 0 ? 3 : 1), n_tokens = end + 150;
    const int64_t int8_end = i % 4 == 1 ? 0 : complete_blocks(i % 4 == 2 ? n_tokens : end / 2);
    ScoreShape s{1, 6, 2, 64, 1 + i % 37, end, n_tokens, int8_end, 4, 1, DType::kF16};
    if (i >= 100) s.n_queries = 2, s.head_dim = 128, s.dtype = DType::kBF16;
    cases.push_back(std::make_unique<ScoreCase>(s, Values::kIntegers, 200 + i));
    list.push_back(cases.back()->device_args());
  }
  own_->synchronize();
  cuda::score(own_->get(), list);
  own_->synchronize();
  for (size_t i = 0; i < cases.size(); ++i)
    ASSERT_EQ(cases[i]->result(), cases[i]->reference()) << i;

  for (const auto& c : cases) c->poison();
  own_->synchronize();
  cuda::Graph graph(own_->get().stream, [&] { cuda::score_decode(own_->get(), list); });
  graph.launch();
  own_->synchronize();
  for (size_t i = 0; i < cases.size(); ++i)
    ASSERT_EQ(cases[i]->result(), cases[i]->reference()) << i;
}

struct AttendShape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t n_tokens, n_global, local_begin;
  int32_t n_recalled;  // −1: null
  DType dtype;
  RopeLayout layout;
  float key_scale = 1;
  int64_t int8_end = 0;
};

std::ostream& operator<<(std::ostream& out, const AttendShape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", n_tokens " << s.n_tokens << ", n_global "
             << s.n_global << ", local_begin " << s.local_begin << ", recalled " << s.n_recalled
             << ", int8 to " << s.int8_end << ", " << dtype_info(s.dtype).name << ", layout "
             << static_cast<int>(s.layout);
}

class AttendCase {
 public:
  AttendCase(const AttendShape& s, unsigned seed)
      : shape(s), n_recalled(std::max(s.n_recalled, 0)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& x, int64_t n, float factor) {
      x.resize(size(n));
      for (float& e : x) e = factor * normal(random);
    };
    fill(q, s.n_queries * s.n_heads * s.head_dim, 1);
    for (float& x : q) x = rounded(s.dtype, x);
    std::vector<float> k, v;
    fill(k, s.n_tokens * s.n_kv_heads * s.head_dim, s.key_scale);
    fill(v, s.n_tokens * s.n_kv_heads * s.head_dim, 1);
    for (int32_t i = 0; i < n_recalled; ++i) {  // spread over the middle, ascending
      recalled.push_back(
          static_cast<int32_t>(s.n_global + i * (s.local_begin - s.n_global) / n_recalled));
    }
    for (int64_t j = 0; j < s.n_global + n_recalled + s.n_tokens - s.local_begin; ++j) {
      for (int32_t i = 0; i < s.head_dim / 2; ++i) {
        const double angle = static_cast<double>(j) * std::pow(10000.0, -2.0 * i / s.head_dim);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    cache = std::make_unique<Int8Cache>(s.dtype, s.n_kv_heads, s.head_dim, k, v, s.int8_end);
    q_device = std::make_unique<DeviceArray<float>>(q);
    cos_device = std::make_unique<DeviceArray<float>>(cos);
    sin_device = std::make_unique<DeviceArray<float>>(sin);
    std::vector<int32_t> room = recalled;
    room.push_back(-5);
    recalled_device = std::make_unique<DeviceArray<int32_t>>(room);
    n_recalled_device = std::make_unique<DeviceArray<int32_t>>(std::vector<int32_t>{n_recalled});
    out = std::make_unique<DeviceArray<float>>(q.size() + 8);
    poison();
  }

  void poison() { out->fill_bytes(0xA5); }
  AttendArgs args(bool on_device) const {
    return {.q = on_device ? q_device->data() : q.data(),
            .n_queries = shape.n_queries,
            .n_heads = shape.n_heads,
            .pages = on_device ? cache->device_pages : cache->host_pages,
            .n_tokens = shape.n_tokens,
            .n_global = shape.n_global,
            .recalled = on_device ? recalled_device->data() : recalled.data(),
            .n_recalled = shape.n_recalled < 0 ? nullptr
                          : on_device          ? n_recalled_device->data()
                                               : &n_recalled,
            .local_begin = shape.local_begin,
            .rope = {on_device ? cos_device->data() : cos.data(),
                     on_device ? sin_device->data() : sin.data(),
                     static_cast<int64_t>(cos.size()) / (shape.head_dim / 2), shape.layout},
            .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim)),
            .out = on_device ? out->data() : nullptr,
            .int8_end = shape.int8_end};
  }
  const std::vector<float>& reference() {
    if (want_.empty()) {
      want_.resize(q.size());
      AttendArgs a = args(false);
      a.out = want_.data();
      reference::attend(a);
    }
    return want_;
  }
  std::vector<float> result() const {
    std::vector<float> got = out->download();
    for (size_t i = q.size(); i < got.size(); ++i) {
      EXPECT_EQ(std::bit_cast<uint32_t>(got[i]), 0xA5A5A5A5U);
    }
    got.resize(q.size());
    return got;
  }
  void expect_near(const char* kernel) {
    const std::vector<float> got = result(), &want = reference();
    for (size_t i = 0; i < got.size(); ++i) {
      if (std::abs(got[i] - want[i]) <= 2e-5F * std::max(1.0F, shape.key_scale)) continue;
      FAIL() << shape << ", " << kernel << ": element " << i << " is " << got[i] << ", not "
             << want[i];
    }
  }

  AttendShape shape;
  std::vector<float> q, cos, sin;
  std::vector<int32_t> recalled;
  int32_t n_recalled;
  std::unique_ptr<Int8Cache> cache;
  std::unique_ptr<DeviceArray<float>> q_device, cos_device, sin_device, out;
  std::unique_ptr<DeviceArray<int32_t>> recalled_device, n_recalled_device;

 private:
  std::vector<float> want_;
};

constexpr auto kHalves = RopeLayout::kHalves;
constexpr auto kInterleaved = RopeLayout::kInterleaved;
const AttendShape kAttendShapes[] = {
    {1, 9, 3, 64, 140, 0, 0, -1, DType::kBF16, kHalves},  // plain full attention
    {3, 9, 3, 64, 700, 0, 0, 0, DType::kF16, kInterleaved},
    {1, 9, 3, 64, 2000, 4, 1700, 128, DType::kF16, kHalves},
    {1, 32, 8, 128, 2000, 32, 1200, 500, DType::kBF16, kHalves},
    {1, 32, 8, 128, 3000, 32, 2000, 700, DType::kF16, kInterleaved},
    {8, 32, 8, 128, 1000, 32, 900, 77, DType::kBF16, kHalves},
    {2, 8, 2, 128, 1536, 0, 1534, 1534, DType::kF16, kHalves},  // all in int8, if so wanted
    {7, 16, 1, 64, 300, 3, 250, 17, DType::kF32, kHalves},
    {1, 28, 4, 128, 1500, 32, 1000, 300, DType::kF32, kInterleaved},
    {2, 4, 2, 80, 600, 5, 400, 60, DType::kF16, kHalves},
    {1, 4, 4, 96, 600, 5, 400, 60, DType::kBF16, kInterleaved},
    {1, 5, 5, 112, 600, 5, 400, 60, DType::kF32, kHalves},
    {1, 8, 4, 256, 900, 5, 400, 60, DType::kBF16, kHalves},
    {5, 8, 2, 256, 900, 5, 400, 60, DType::kF32, kInterleaved},
    {1, 2, 2, 8, 900, 5, 400, 60, DType::kF16, kHalves},
    {1, 7, 7, 24, 900, 5, 400, 60, DType::kF32, kInterleaved},
    {1, 9, 3, 64, 2000, 4, 1700, 128, DType::kF16, kHalves, 30},  // one key takes it all
};

TEST_F(CudaDecodeInt8, AttendsAsTheReference) {
  unsigned seed = 1;
  for (AttendShape s : kAttendShapes) {
    for (const int64_t int8_end :
         {int64_t{128}, complete_blocks(s.n_tokens / 2), complete_blocks(s.n_tokens)}) {
      s.int8_end = int8_end;
      AttendCase c(s, seed++);
      const AttendArgs a = c.args(true);
      ASSERT_TRUE(cuda::attend_decode_fits(a));
      own_->synchronize();
      cuda::attend_decode(own_->get(), {&a, 1});
      own_->synchronize();
      c.expect_near("attend_decode");
      const std::vector<float> got = c.result();
      c.poison();
      own_->synchronize();
      cuda::attend(own_->get(), {&a, 1});
      own_->synchronize();
      const std::vector<float> again = c.result();
      EXPECT_EQ(std::memcmp(got.data(), again.data(), got.size() * sizeof(float)), 0) << s;
      c.poison();
      own_->synchronize();
      cuda::attend_general(own_->get(), a);
      own_->synchronize();
      c.expect_near("attend_general");
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(CudaDecodeInt8, AttendsToListsOfAnyKind) {
  std::vector<std::unique_ptr<AttendCase>> cases;
  std::vector<AttendArgs> list;
  for (unsigned i = 0; i < 45; ++i) {  // more than one launch takes
    const int64_t n = 20 + 40 * i;
    AttendShape s{1, 6, 2, 64, n, 3, n / 2, static_cast<int32_t>(n / 5), DType::kF16, kHalves};
    if (i % 15 == 14) s.n_heads = 4, s.n_kv_heads = 1, s.head_dim = 128, s.dtype = DType::kBF16;
    s.int8_end = i % 3 == 0 ? 0 : complete_blocks(i % 3 == 1 ? n : n / 2);
    cases.push_back(std::make_unique<AttendCase>(s, 100 + i));
    list.push_back(cases.back()->args(true));
  }
  own_->synchronize();
  cuda::attend(own_->get(), list);
  own_->synchronize();
  for (const auto& c : cases) c->expect_near("list");

  for (const auto& c : cases) c->poison();
  own_->synchronize();
  cuda::Graph graph(own_->get().stream, [&] { cuda::attend_decode(own_->get(), list); });
  graph.launch();
  own_->synchronize();
  for (const auto& c : cases) c->expect_near("graph");
}

}  // namespace
}  // namespace reattn::kernels
