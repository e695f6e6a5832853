// Attention for few queries on the device, against the reference, within rounding.
#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "kernels/cpu/reference/reference.hpp"
#include "kernels/cuda/attend/attend_decode.hpp"
#include "tests/kernels/cuda_context.hpp"
#include "tests/kernels/cuda_fixture.hpp"

namespace reattn::kernels {
namespace {

struct Shape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t n_tokens, n_global, local_begin;
  int32_t n_recalled;  // −1: null
  DType dtype;
  RopeLayout layout;
  int64_t spare_positions = 0;  // of the table, beyond the scope
  float key_scale = 1;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", n_tokens " << s.n_tokens << ", n_global "
             << s.n_global << ", local_begin " << s.local_begin << ", recalled " << s.n_recalled
             << ", " << dtype_info(s.dtype).name << ", layout " << static_cast<int>(s.layout);
}

float rounded(DType dtype, float x) {
  switch (dtype) {
    case DType::kBF16:
      return reference::bf16_to_float(reference::float_to_bf16(x));
    case DType::kF16:
      return reference::half_to_float(reference::float_to_half(x));
    default:
      return x;
  }
}

class Case {
 public:
  Case(const Shape& s, unsigned seed) : shape(s) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& x, int64_t n, float factor) {
      x.resize(static_cast<size_t>(n));
      for (float& e : x) e = factor * normal(random);
    };
    fill(q, s.n_queries * s.n_heads * s.head_dim, 1);
    for (float& x : q) x = rounded(s.dtype, x);
    std::vector<float> k, v;
    fill(k, s.n_tokens * s.n_kv_heads * s.head_dim, s.key_scale);
    fill(v, s.n_tokens * s.n_kv_heads * s.head_dim, 1);
    n_recalled = std::max(s.n_recalled, 0);
    for (int32_t i = 0; i < n_recalled; ++i) {  // spread over the middle, ascending
      recalled.push_back(
          static_cast<int32_t>(s.n_global + i * (s.local_begin - s.n_global) / n_recalled));
    }
    const int64_t scope = s.n_global + n_recalled + s.n_tokens - s.local_begin;
    for (int64_t j = 0; j < scope + s.spare_positions; ++j) {
      for (int32_t i = 0; i < s.head_dim / 2; ++i) {
        const double angle = static_cast<double>(j) * std::pow(10000.0, -2.0 * i / s.head_dim);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    cache = std::make_unique<TwinCache>(s.dtype, s.n_kv_heads, s.head_dim, k, v);
    q_device = keep(q);
    cos_device = keep(cos);
    sin_device = keep(sin);
    std::vector<int32_t> room = recalled;
    room.resize(recalled.size() + 1, -5);
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
            .pages = on_device ? cache->device_pages : cache->host_pages(),
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
            .out = on_device ? out->data() : nullptr};
  }
  std::vector<float> reference() const {
    std::vector<float> want(q.size());
    AttendArgs a = args(false);
    a.out = want.data();
    reference::attend(a);
    return want;
  }
  std::vector<float> result() const {
    std::vector<float> got = out->download();
    for (size_t i = q.size(); i < got.size(); ++i) {
      EXPECT_EQ(std::bit_cast<uint32_t>(got[i]), 0xA5A5A5A5U);
    }
    got.resize(q.size());
    return got;
  }
  void expect_near() const {
    const std::vector<float> got = result(), want = reference();
    for (size_t i = 0; i < got.size(); ++i) {
      if (std::abs(got[i] - want[i]) <= 2e-5f * std::max(1.0f, shape.key_scale)) continue;
      FAIL() << shape << ": element " << i << " is " << got[i] << ", not " << want[i];
    }
  }

  Shape shape;
  std::vector<float> q, cos, sin;
  std::vector<int32_t> recalled;
  int32_t n_recalled = 0;
  std::unique_ptr<TwinCache> cache;
  std::unique_ptr<DeviceArray<float>> q_device, cos_device, sin_device, out;
  std::unique_ptr<DeviceArray<int32_t>> recalled_device, n_recalled_device;

 private:
  static std::unique_ptr<DeviceArray<float>> keep(const std::vector<float>& x) {
    return std::make_unique<DeviceArray<float>>(x);
  }
};

class CudaAttendDecode : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (cuda_device() && !own_) own_ = std::make_unique<cuda::OwnContext>();
  }
  static void TearDownTestSuite() { own_.reset(); }
  void attend(std::span<const AttendArgs> list) {
    own_->synchronize();
    for (const AttendArgs& a : list) ASSERT_TRUE(cuda::attend_decode_fits(a));
    cuda::attend_decode(own_->get(), list);
    own_->synchronize();
  }
  static std::unique_ptr<cuda::OwnContext> own_;
};
std::unique_ptr<cuda::OwnContext> CudaAttendDecode::own_;

constexpr auto kHalves = RopeLayout::kHalves;
constexpr auto kInterleaved = RopeLayout::kInterleaved;
const Shape kShapes[] = {
    {1, 1, 1, 64, 1, 0, 0, -1, DType::kF16, kHalves},
    {1, 9, 3, 64, 40, 0, 0, -1, DType::kBF16, kHalves},  // plain full attention
    {3, 9, 3, 64, 700, 0, 0, 0, DType::kF16, kInterleaved, 1000},
    {1, 9, 3, 64, 2000, 4, 1700, 128, DType::kF16, kHalves},
    {1, 9, 3, 64, 6000, 32, 3000, 2000, DType::kBF16, kInterleaved},
    {1, 32, 8, 128, 3000, 32, 2000, 700, DType::kBF16, kHalves},
    {1, 32, 8, 128, 3000, 32, 2000, 700, DType::kF16, kInterleaved, 5000},
    {8, 32, 8, 128, 1000, 32, 900, 77, DType::kBF16, kHalves},
    {2, 8, 2, 128, 2000, 0, 1998, 1998, DType::kF16, kHalves},  // the local window is the step
    {7, 16, 1, 64, 300, 3, 250, 17, DType::kF32, kHalves},
    {1, 28, 4, 128, 1500, 32, 1000, 300, DType::kF32, kInterleaved},
    {1, 14, 2, 64, 1500, 32, 1000, 300, DType::kBF16, kHalves},
    {2, 4, 2, 80, 600, 5, 400, 60, DType::kF16, kHalves},
    {1, 4, 4, 96, 600, 5, 400, 60, DType::kBF16, kInterleaved},
    {1, 5, 5, 112, 600, 5, 400, 60, DType::kF32, kHalves},
    {1, 8, 4, 256, 900, 5, 400, 60, DType::kBF16, kHalves},
    {5, 8, 2, 256, 900, 5, 400, 60, DType::kF32, kInterleaved},
    {1, 2, 2, 8, 900, 5, 400, 60, DType::kF16, kHalves},
    {1, 7, 7, 24, 900, 5, 400, 60, DType::kF32, kInterleaved},
    {1, 9, 3, 64, 2000, 4, 1700, 128, DType::kF16, kHalves, 0, 30},  // one key takes it all
};

TEST_F(CudaAttendDecode, EqualsTheReferenceWithinRounding) {
  unsigned seed = 1;
  for (const Shape& s : kShapes) {
    Case c(s, seed++);
    const AttendArgs a = c.args(true);
    attend({&a, 1});
    c.expect_near();
    const std::vector<float> got = c.result();
    c.poison();
    attend({&a, 1});
    const std::vector<float> again = c.result();
    EXPECT_EQ(std::memcmp(got.data(), again.data(), got.size() * sizeof(float)), 0) << s;
  }
}

TEST_F(CudaAttendDecode, ServesListsOfSequencesAndGraphs) {
  std::vector<std::unique_ptr<Case>> cases;
  std::vector<AttendArgs> list;
  for (unsigned i = 0; i < 45; ++i) {  // more than one launch takes
    const int64_t n = 20 + 50 * i;
    const Shape s =
        i % 15 == 14
            ? Shape{1, 4, 1, 128, n, 3, n / 2, static_cast<int32_t>(n / 5), DType::kBF16, kHalves}
            : Shape{1,           6,       2,  64, n, 3, n / 2, static_cast<int32_t>(n / 5),
                    DType::kF16, kHalves, 100};
    cases.push_back(std::make_unique<Case>(s, 100 + i));
    list.push_back(cases.back()->args(true));
  }
  attend(list);
  for (const auto& c : cases) c->expect_near();

  for (const auto& c : cases) c->poison();
  own_->synchronize();
  cuda::Graph graph(own_->get().stream, [&] { cuda::attend_decode(own_->get(), list); });
  graph.launch();
  own_->synchronize();
  for (const auto& c : cases) c->expect_near();
}

TEST_F(CudaAttendDecode, ServesDevicesOfLessSharedMemory) {
  const size_t usual = std::exchange(own_->get().most_shared_bytes, size_t{99} << 10);
  for (const Shape& s : {Shape{8, 9, 3, 64, 1000, 4, 700, 128, DType::kF16, kHalves},
                         {1, 5, 1, 128, 1000, 4, 700, 128, DType::kBF16, kInterleaved},
                         {2, 4, 2, 256, 900, 5, 400, -1, DType::kF32, kHalves}}) {
    Case c(s, 7);
    const AttendArgs a = c.args(true);
    attend({&a, 1});
    c.expect_near();
  }
  own_->get().most_shared_bytes = usual;
}

TEST_F(CudaAttendDecode, RefusesWhatItDoesNotServe) {
  AttendArgs a{};
  a.n_queries = 1;
  a.n_heads = 4;
  a.pages = {nullptr, nullptr, DType::kF16, 2, 64};
  a.n_tokens = 10;
  EXPECT_TRUE(cuda::attend_decode_fits(a));
  a.n_queries = 9;
  EXPECT_FALSE(cuda::attend_decode_fits(a));
  a.n_queries = 1;
  a.pages.head_dim = 66;
  EXPECT_FALSE(cuda::attend_decode_fits(a));
}

}  // namespace
}  // namespace reattn::kernels
