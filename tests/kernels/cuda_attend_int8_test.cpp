// Attention of many queries on the CUDA device over caches in int8.
#include <cmath>
#include <cstdio>
#include <limits>

#include "tests/kernels/cuda_attend_case.hpp"

namespace reattn::kernels {
namespace {

using CudaAttendInt8 = CudaTest;

// Few tiles of rows and many, in pairs and not, of one split and of several; the end of int8 inside the global positions, the recalled
// and the local ones, inside a page and at its end, and all the cache but its last positions.
std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    for (const auto layout : {kPairs, kHalves}) {
      for (const int64_t int8_end : {128, 512, 640, 1'024, 1'920}) {
        all.push_back({77, 8, 2, 128, 1'999, 300, 1'500, 107, dtype, layout, 0, int8_end});
        all.push_back({65, 9, 3, 64, 1'999, 300, 1'500, 107, dtype, layout, 10, int8_end});
      }
    }
    all.push_back({256, 4, 1, 128, 1'999, 300, 1'500, 107, dtype, kPairs, 0, 640});
    all.push_back({300, 6, 1, 128, 1'025, 0, 0, 0, dtype, kHalves, 0, 1'024});
    all.push_back({512, 2, 2, 64, 512, 0, 0, 0, dtype, kPairs, 0, 512});  // a first chunk
    all.push_back({30, 4, 2, 80, 1'999, 300, 1'500, 107, dtype, kHalves, 0, 640});
  }
  all.push_back({30, 6, 2, 24, 700, 32, 600, 50, DType::kF32, kHalves, 0, 640});
  return all;
}

TEST_F(CudaAttendInt8, EqualsTheReferenceToRounding) {
  double most[3] = {};
  for (const Shape& shape : shapes()) {
    Case c(shape);
    const std::vector<float> got = on_device(c), want = plain(c);
    const double difference = largest_difference(got, want);
    EXPECT_LE(difference, tolerance(shape)) << shape;
    if (shape.head_dim == 80) continue;  // the general kernel
    double& m = most[static_cast<int>(shape.dtype)];
    m = std::max(m, difference);
  }
  std::printf("largest difference: %.2e F32, %.2e F16, %.2e BF16\n", most[0], most[1], most[2]);
}

// Numbers that neither int8 nor 16 bits round: multiples of 1/32 up to 127/32, which every row has.
Case exact_case(const Shape& shape) {
  Case c(shape);
  std::mt19937 random(5);
  for (auto* x : {&c.k, &c.v}) {
    for (size_t i = 0; i < x->size(); ++i) {
      const bool most = i % static_cast<size_t>(shape.head_dim) == i / 1'024 % 8;
      (*x)[i] = static_cast<float>(most ? 127 : static_cast<int>(random() % 255) - 127) / 32;
    }
  }
  return c;
}

TEST_F(CudaAttendInt8, GivesTheBitsOfTheNativeCacheWhereNothingIsLost) {
  for (Shape shape : shapes()) {
    Case int8 = exact_case(shape);
    shape.int8_end = 0;
    Case native = exact_case(shape);
    const std::vector<float> got = on_device(int8), want = on_device(native);
    ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0) << int8.shape;
  }
}

TEST_F(CudaAttendInt8, FastEqualsGeneralAtFullSize) {
  const Shape all[] = {
      {512, 32, 8, 128, 9'000, 32, 9'000 - 4'096, 4'064, DType::kBF16, kHalves, 0, 8'960},
      {512, 8, 2, 128, 9'000, 32, 9'000 - 4'096, 4'064, DType::kF16, kPairs, 0, 6'400},
      {512, 9, 3, 64, 9'000, 32, 9'000 - 1'024, 2'016, DType::kF16, kPairs, 500, 8'960},
      {544, 4, 2, 128, 3'000, 32, 2'000, 400, DType::kF16, kHalves, 0, 2'944},
  };
  for (const Shape& shape : all) {
    Case c(shape);
    const std::vector<float> fast = on_device(c);
    EXPECT_LE(largest_difference(fast, general(c)), tolerance(shape)) << shape;
  }
}

// As a super-chunk is, some of its chunks' caches in int8 and some not.
TEST_F(CudaAttendInt8, AListMixesCachesOfBothKinds) {
  const int32_t heads[][3] = {{8, 2, 128}, {9, 3, 64}};
  for (const auto& h : heads) {
    std::vector<std::unique_ptr<Case>> cases;
    std::vector<AttendArgs> list;
    for (const int64_t n_queries : {512, 512, 640, 50, 544, 0, 520, 17}) {
      const auto i = static_cast<int32_t>(cases.size());
      const int64_t n_tokens = 2'000 + 512 * i;
      cases.push_back(std::make_unique<Case>(
          Shape{n_queries, h[0], h[1], h[2], n_tokens, 32, n_tokens - 900, 300 + 17 * i,
                DType::kBF16, kHalves, 200, i % 3 == 1 ? 0 : complete_blocks(n_tokens - 300 * i)},
          1.0f, static_cast<unsigned>(i)));
      cases.back()->place();
      list.push_back(cases.back()->device_args());
    }
    for (int repeat = 0; repeat < 3; ++repeat) {
      for (const auto& c : cases) c->out->fill_bytes(0xFF);
      device().attend(stream_, list);
      for (size_t i = 0; i < cases.size(); ++i) {
        const std::vector<float> got = cases[i]->out->download();
        EXPECT_LE(largest_difference(got, general(*cases[i])), tolerance(cases[i]->shape))
            << cases[i]->shape;
      }
    }
  }
}

TEST_F(CudaAttendInt8, SameBitsOnRepeat) {
  for (const int32_t head_dim : {64, 128}) {
    Case c({512, 8, 2, head_dim, 3'000, 32, 2'400, 400, DType::kBF16, kHalves, 0, 2'944});
    const std::vector<float> once = on_device(c);
    for (int i = 0; i < 10; ++i) {
      const AttendArgs a = c.device_args();
      c.out->fill_bytes(0xFF);
      device().attend(stream_, {&a, 1});
      const std::vector<float> again = c.out->download();
      ASSERT_EQ(std::memcmp(again.data(), once.data(), once.size() * sizeof(float)), 0) << c.shape;
    }
  }
}

// NaN and infinities of a cache: scales of infinity, numbers that are NaN again.
TEST_F(CudaAttendInt8, AnInfiniteKeySpoilsNoOthersBlock) {
  for (const int32_t head_dim : {64, 128}) {
    Case c({40, 2, 2, head_dim, 300, 0, 0, 0, DType::kBF16, kHalves, 0, 256});
    c.k[5] = c.v[7] = std::numeric_limits<float>::infinity();  // of the first KV head
    const std::vector<float> got = on_device(c), want = plain(c);
    const auto row = static_cast<size_t>(head_dim);
    for (size_t i = 0; i < got.size(); ++i) {
      if (i / row % 2 == 0) {
        ASSERT_TRUE(std::isnan(got[i]) && std::isnan(want[i])) << i;
      } else {
        ASSERT_NEAR(got[i], want[i], tolerance(c.shape)) << i;
      }
    }
  }
}

}  // namespace
}  // namespace reattn::kernels
