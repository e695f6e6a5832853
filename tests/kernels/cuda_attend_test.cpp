// Attention and the cache append on the CUDA device against the reference.
#include <cmath>
#include <cstdio>
#include <limits>

#include "tests/kernels/cuda_attend_case.hpp"

namespace reattn::kernels {
namespace {

using CudaAttend = CudaTest;
using CudaKvAppend = CudaTest;

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  const int32_t heads[][2] = {{1, 1}, {9, 3}, {8, 1}, {4, 4}, {14, 2}};
  const DType dtypes[] = {DType::kF16, DType::kBF16, DType::kF32};
  unsigned i = 0;
  for (const int64_t n_queries : {1, 2, 7, 64, 130}) {
    for (const auto& h : heads) {
      for (const int32_t head_dim : {8, 64, 80, 128, 256}) {
        Shape s{n_queries,
                h[0],
                h[1],
                head_dim,
                0,
                0,
                0,
                0,
                dtypes[i % 3],
                i / 2 % 2 == 0 ? kHalves : kPairs,
                i % 7 == 0 ? 0 : 133};
        switch (i % 4) {
          case 0:
            s.n_tokens = n_queries;
            break;  // a first chunk
          case 1:
            s.n_tokens = n_queries + 517;
            break;
          case 2:
            s.n_tokens = 1'100;
            s.n_global = 5;
            s.local_begin = 1'100 - n_queries - 33;
            s.n_recalled = 97;
            break;
          default:
            s.n_tokens = 700;
            s.n_global = 16;
            s.local_begin = 700 - n_queries;
        }
        all.push_back(s);
        ++i;
      }
    }
  }
  for (const DType dtype : dtypes) {
    for (const auto layout : {kPairs, kHalves}) {
      all.push_back({1, 9, 3, 64, 3'000, 32, 2'000, 400, dtype, layout});
      all.push_back({200, 9, 3, 64, 3'000, 32, 2'600, 400, dtype, layout, 1'000});
      all.push_back({128, 4, 1, 128, 2'048, 0, 0, 0, dtype, layout});  // whole tiles
      all.push_back({129, 4, 2, 128, 2'049, 1, 1'900, 107, dtype, layout});
      all.push_back({77, 5, 1, 128, 1'300, 32, 1'200, 0, dtype, layout, 4'000});
      all.push_back({256, 2, 2, 64, 1'024, 0, 0, 0, dtype, layout});
    }
  }
  all.push_back({6, 5, 1, 20, 300, 0, 0, 0, DType::kBF16, kHalves});
  all.push_back({6, 5, 1, 2, 300, 0, 0, 0, DType::kF16, kPairs});
  return all;
}

TEST_F(CudaAttend, EqualsTheReferenceToRounding) {
  double most[6] = {};
  for (const Shape& shape : shapes()) {
    Case c(shape);
    const std::vector<float> got = on_device(c), want = plain(c);
    const double difference = largest_difference(got, want);
    EXPECT_LE(difference, tolerance(shape)) << shape;
    double& m = most[2 * static_cast<int>(shape.dtype) + (tolerance(shape) > 1e-4 ? 1 : 0)];
    m = std::max(m, difference);
  }
  for (int i = 0; i < 6; ++i) {
    RecordProperty("largest_difference_" + std::to_string(i), std::to_string(most[i]));
    std::printf("largest difference, %s, %s kernels: %.2e\n",
                dtype_info(static_cast<DType>(i / 2)).name.data(), i % 2 == 0 ? "general" : "fast",
                most[i]);
  }
}

TEST_F(CudaAttend, FastEqualsGeneralAtFullSize) {
  const Shape all[] = {
      {512, 32, 8, 128, 9'000, 32, 9'000 - 4'096, 4'064, DType::kBF16, kHalves},
      {512, 32, 8, 128, 17'000, 32, 17'000 - 8'192, 8'192, DType::kF16, kPairs},
      {512, 9, 3, 64, 9'000, 32, 9'000 - 4'096, 4'064, DType::kBF16, kPairs},
      {512, 9, 3, 64, 9'000, 32, 9'000 - 1'024, 2'016, DType::kF16, kPairs, 500},
      {30, 32, 8, 128, 9'000, 32, 9'000 - 4'096, 4'064, DType::kBF16, kHalves},
      {300, 14, 2, 64, 9'000, 0, 0, 0, DType::kBF16, kHalves},
      {544, 8, 2, 128, 3'000, 32, 2'000, 400, DType::kF16, kHalves},  // an odd number of tiles
      {300, 8, 1, 128, 3'000, 32, 2'000, 400, DType::kBF16, kPairs},
  };
  for (const Shape& shape : all) {
    Case c(shape);
    const std::vector<float> fast = on_device(c);
    EXPECT_LE(largest_difference(fast, general(c)), tolerance(shape)) << shape;
  }
}

TEST_F(CudaAttend, AListEqualsItsSequences) {
  for (const int32_t head_dim : {64, 128, 40}) {
    for (const size_t n : {2, 8, 19}) {
      std::vector<std::unique_ptr<Case>> cases;
      std::vector<AttendArgs> list;
      for (size_t i = 0; i < n; ++i) {
        const auto n_queries = static_cast<int64_t>(i * 37 % 90);  // among them none at all
        const int64_t n_tokens = n_queries + 700 + static_cast<int64_t>(i) * 31;
        cases.push_back(std::make_unique<Case>(
            Shape{n_queries, 6, 2, head_dim, n_tokens, 3, n_tokens - n_queries - 40,
                  static_cast<int32_t>(i * 20), DType::kF16, kHalves, 10},
            1.0f, static_cast<unsigned>(i)));
        cases.back()->place();
        list.push_back(cases.back()->device_args());
      }
      device().attend(stream_, list);
      for (const auto& c : cases) {
        EXPECT_LE(largest_difference(c->out->download(), plain(*c)), tolerance(c->shape))
            << c->shape << " of a list of " << n;
      }
    }
  }
}

// As a super-chunk is: each sequence sees more than the one before, the last one is short.
TEST_F(CudaAttend, AListOfLongSequencesEqualsTheGeneralKernel) {
  const int32_t heads[][3] = {{8, 2, 128}, {9, 3, 64}, {16, 2, 64}};
  for (const auto& h : heads) {
    for (const bool with_short : {false, true}) {
      std::vector<std::unique_ptr<Case>> cases;
      std::vector<AttendArgs> list;
      for (const int64_t n_queries : {512, 512, 640, 512, 544, 0, with_short ? 70 : 520}) {
        const auto i = static_cast<int32_t>(cases.size());
        const int64_t n_tokens = 2'000 + 512 * i;
        cases.push_back(std::make_unique<Case>(
            Shape{n_queries, h[0], h[1], h[2], n_tokens, 32, n_tokens - 900, 300 + 17 * i,
                  i % 2 == 0 || with_short ? DType::kF16 : DType::kBF16, kHalves, 200},
            1.0f, static_cast<unsigned>(i)));
        cases.back()->place();
        list.push_back(cases.back()->device_args());
      }
      for (int repeat = 0; repeat < 3; ++repeat) {
        for (const auto& c : cases) c->out->fill_bytes(0xFF);
        device().attend(stream_, list);
        for (const auto& c : cases) {
          const std::vector<float> got = c->out->download();
          EXPECT_LE(largest_difference(got, general(*c)), tolerance(c->shape)) << c->shape;
        }
      }
    }
  }
}

TEST_F(CudaAttend, LargeScoresNeitherOverflowNorVanish) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    Case c({40, 3, 1, 64, 700, 0, 0, 0, dtype, kPairs}, 300);
    for (float& x : c.v) x = 1 + x / 64;  // whatever key wins
    const std::vector<float> got = on_device(c), want = plain(c);
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 0.15) << i;
  }
}

TEST_F(CudaAttend, SameBitsOnRepeat) {
  const Shape all[] = {{512, 9, 3, 64, 3'000, 32, 2'400, 400, DType::kF16, kPairs},
                       {20, 8, 2, 128, 3'000, 32, 2'400, 400, DType::kBF16, kHalves},
                       {20, 8, 2, 80, 3'000, 32, 2'400, 400, DType::kBF16, kHalves}};
  for (const Shape& shape : all) {
    Case c(shape);
    const std::vector<float> once = on_device(c);
    for (int i = 0; i < 20; ++i) {
      const AttendArgs a = c.device_args();
      c.out->fill_bytes(0xFF);
      device().attend(stream_, {&a, 1});
      const std::vector<float> again = c.out->download();
      ASSERT_EQ(std::memcmp(again.data(), once.data(), once.size() * sizeof(float)), 0) << shape;
    }
  }
}

TEST_F(CudaAttend, NothingRecalledNeedsNoList) {
  for (const int32_t head_dim : {64, 80}) {
    Case c({7, 9, 3, head_dim, 300, 16, 200, 0, DType::kF16, kPairs});
    const std::vector<float> with = on_device(c);
    AttendArgs a = c.device_args();
    a.recalled = nullptr;
    a.n_recalled = nullptr;
    device().attend(stream_, {&a, 1});
    EXPECT_EQ(c.out->download(), with);
  }
}

TEST_F(CudaAttend, NanOfAQueryStaysInItsRow) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Case c({20, 3, 1, 64, 300, 0, 0, 0, dtype, kPairs});
    c.q[5] = std::numeric_limits<float>::quiet_NaN();
    c.q[64 + 5] = std::numeric_limits<float>::infinity();
    const std::vector<float> got = on_device(c), want = plain(c);
    for (size_t i = 0; i < 128; ++i) ASSERT_TRUE(std::isnan(got[i])) << i;
    for (size_t i = 128; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], tolerance(c.shape)) << i;
    }
  }
}

TEST_F(CudaAttend, BadArgumentsAreNamed) {
  Case c({7, 3, 1, 64, 300, 16, 200, 10, DType::kF32, kPairs});
  c.place();
  const auto message = [&](const AttendArgs& a) {
    try {
      device().attend(stream_, {&a, 1});
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  AttendArgs a = c.device_args();
  a.rope.n_positions = 115;
  EXPECT_NE(message(a).find("the scope is at least 116"), std::string::npos) << message(a);
  a = c.device_args();
  a.n_tokens = 205;
  EXPECT_NE(message(a).find("n_queries is 7"), std::string::npos) << message(a);
  a = c.device_args();
  a.pages.head_dim = 258;
  EXPECT_NE(message(a).find("head_dim is 258"), std::string::npos) << message(a);
}

// Every half, what lies half-way to the next one, a little to both sides of that, and the same of bfloat16.
std::vector<float> rounding_cases() {
  std::vector<float> values;
  for (const bool bf16 : {false, true}) {
    const auto widened = [&](uint32_t bits) {
      const auto b = static_cast<uint16_t>(bits);
      return bf16 ? reference::bf16_to_float(b) : reference::half_to_float(b);
    };
    for (uint32_t h = 0; h < 0x10000; ++h) {
      const float x = widened(h), next = widened(h + 1);
      const float middle = std::isfinite(x) && std::isfinite(next) ? 0.5f * x + 0.5f * next : x;
      if (std::isnan(x)) continue;  // which NaN comes out is the device's affair
      for (const float value :
           {x, middle, std::nextafter(middle, 1e30f), std::nextafter(middle, -1e30f)}) {
        values.push_back(value);
      }
    }
  }
  for (const float x : {65519.9f, 65520.0f, 1e6f, 1e-8f, 2.98e-8f, 2.99e-8f, 1e-30f}) {
    values.push_back(x);
    values.push_back(-x);
  }
  return values;
}

TEST_F(CudaKvAppend, EqualsTheReferenceBitForBit) {
  std::vector<float> values = rounding_cases();
  for (const int32_t head_dim : {12, 24, 2}) {
    const int64_t row = 2 * head_dim;
    const int64_t n_new = static_cast<int64_t>(values.size()) / row;
    std::vector<float> mirrored(values.rbegin(), values.rend());
    for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
      for (const size_t shift : {0, 1}) {  // floats off the 16-byte grid
        const int64_t begin = 300;
        const std::vector<float> zeros(static_cast<size_t>((n_new + begin) * row));
        TwinCache cache(dtype, 2, head_dim, zeros, zeros);
        std::vector<float> k(values), v(mirrored);
        k.insert(k.begin(), shift, 0.0f);
        v.insert(v.begin(), shift, 0.0f);
        const DeviceArray<float> k_device(k), v_device(v);
        reference::kv_append({values.data(), mirrored.data(), n_new, begin, cache.host_pages()});
        // As a list: nothing, a first part, and the rest.
        const int64_t first = n_new / 3;
        const KvAppendArgs list[] = {
            {k_device.data() + shift, v_device.data() + shift, 0, 7, cache.device_pages},
            {k_device.data() + shift, v_device.data() + shift, first, begin, cache.device_pages},
            {k_device.data() + shift + first * row, v_device.data() + shift + first * row,
             n_new - first, begin + first, cache.device_pages}};
        device().kv_append(stream_, list);
        const auto page_bytes = static_cast<size_t>(row_bytes(dtype, kPageTokens * row));
        const int64_t n_pages = (n_new + begin + kPageTokens - 1) / kPageTokens;
        const int64_t last_rows = (n_new + begin) - (n_pages - 1) * kPageTokens;
        for (const bool is_v : {false, true}) {
          void* const* want = is_v ? cache.host_pages().v : cache.host_pages().k;
          DeviceArray<unsigned char*> table(static_cast<size_t>(n_pages));
          device().copy(stream_, table.data(), is_v ? cache.device_pages.v : cache.device_pages.k,
                        static_cast<size_t>(n_pages) * sizeof(void*));
          const std::vector<unsigned char*> pages = table.download();
          for (int64_t p = 0; p < n_pages; ++p) {
            std::vector<unsigned char> got(page_bytes);
            device().download(stream_, got.data(), pages[static_cast<size_t>(p)], page_bytes);
            const int64_t rows = p + 1 == n_pages ? last_rows : kPageTokens;
            const auto head_bytes = page_bytes / 2;
            for (size_t head = 0; head < 2; ++head) {
              EXPECT_EQ(std::memcmp(got.data() + head * head_bytes,
                                    static_cast<unsigned char*>(want[p]) + head * head_bytes,
                                    static_cast<size_t>(row_bytes(dtype, rows * head_dim))),
                        0)
                  << "page " << p << " head " << head << " " << dtype_info(dtype).name;
              for (size_t i = static_cast<size_t>(row_bytes(dtype, rows * head_dim));
                   i < head_bytes; ++i) {  // what lies beyond is left alone
                ASSERT_EQ(got[head * head_bytes + i], 0xFF) << i;
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace reattn::kernels
