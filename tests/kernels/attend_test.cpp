// Attention and the cache append: the fast versions against the reference.
#include <gtest/gtest.h>

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

struct Shape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t n_tokens, n_global, local_begin;
  int32_t n_recalled;
  DType dtype;
  RopeLayout layout;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", n_tokens " << s.n_tokens << ", n_global "
             << s.n_global << ", local_begin " << s.local_begin << ", recalled " << s.n_recalled
             << ", " << dtype_info(s.dtype).name << ", layout " << static_cast<int>(s.layout);
}

class Case {
 public:
  explicit Case(const Shape& s, float key_scale = 1) : shape(s) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& x, int64_t n, float factor) {
      x.resize(static_cast<size_t>(n));
      for (float& e : x) e = factor * normal(random);
    };
    fill(q, s.n_queries * s.n_heads * s.head_dim, 1);
    fill(k, s.n_tokens * s.n_kv_heads * s.head_dim, key_scale);
    fill(v, s.n_tokens * s.n_kv_heads * s.head_dim, 1);
    for (int32_t i = 0; i < s.n_recalled; ++i) {  // spread over the middle, ascending
      recalled.push_back(
          static_cast<int32_t>(s.n_global + i * (s.local_begin - s.n_global) / s.n_recalled));
    }
    n_recalled = s.n_recalled;
    const int64_t scope = s.n_global + s.n_recalled + s.n_tokens - s.local_begin;
    for (int64_t j = 0; j < scope; ++j) {
      for (int32_t i = 0; i < s.head_dim / 2; ++i) {
        const double angle = static_cast<double>(j) * std::pow(10000.0, -2.0 * i / s.head_dim);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }

  AttendArgs args() {
    cache = std::make_unique<PagedCache>(shape.dtype, shape.n_kv_heads, shape.head_dim, k, v);
    return {.q = q.data(),
            .n_queries = shape.n_queries,
            .n_heads = shape.n_heads,
            .pages = cache->pages,
            .n_tokens = shape.n_tokens,
            .n_global = shape.n_global,
            .recalled = recalled.data(),
            .n_recalled = &n_recalled,
            .local_begin = shape.local_begin,
            .rope = {cos.data(), sin.data(),
                     static_cast<int64_t>(cos.size()) / (shape.head_dim / 2), shape.layout},
            .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim)),
            .out = nullptr};
  }

  Shape shape;
  std::vector<float> q, k, v, cos, sin;
  std::vector<int32_t> recalled;
  int32_t n_recalled;
  std::unique_ptr<PagedCache> cache;
};

std::vector<float> fast(AttendArgs a, int32_t n_threads,
                        const std::atomic<bool>* cancel = nullptr) {
  cpu::ThreadPool pool(n_threads);
  cpu::ScratchPool scratch;
  std::vector<float> out(static_cast<size_t>(a.n_queries * a.n_heads * a.pages.head_dim), -7.0f);
  a.out = out.data();
  cpu::attend({pool, scratch, cancel}, a);
  return out;
}

std::vector<float> plain(AttendArgs a) {
  std::vector<float> out(static_cast<size_t>(a.n_queries * a.n_heads * a.pages.head_dim), -7.0f);
  a.out = out.data();
  reference::attend(a);
  return out;
}

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  const int32_t heads[][2] = {{1, 1}, {9, 3}, {8, 1}, {4, 4}};
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
                i % 2 == 0 ? DType::kF16 : DType::kF32,
                i % 3 == 0 ? RopeLayout::kHalves : RopeLayout::kInterleaved};
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
  const auto both = RopeLayout::kInterleaved;
  all.push_back({1, 9, 3, 64, 3'000, 32, 2'000, 400, DType::kF16, both});    // several parts
  all.push_back({200, 9, 3, 64, 3'000, 32, 2'600, 400, DType::kF16, both});  // large blocks of rows
  all.push_back({1, 12, 1, 64, 600, 0, 0, 0, DType::kF32, both});  // too many heads to stream
  all.push_back({1, 5, 1, 20, 300, 0, 0, 0, DType::kF16, both});   // no multiple of 8
  all.push_back({6, 5, 1, 20, 300, 0, 0, 0, DType::kF16, RopeLayout::kHalves});
  return all;
}

TEST(Attend, EqualsTheReferenceToRounding) {
  for (const Shape& shape : shapes()) {
    Case c(shape);
    const AttendArgs a = c.args();
    const std::vector<float> want = plain(a), got = fast(a, 2);
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 2e-5) << shape << " element " << i;
    }
  }
}

TEST(Attend, EveryTargetEqualsTheReferenceToRounding) {
  const std::vector<Shape> all = shapes();
  for (size_t i = 0; i < all.size(); i += i + 7 < all.size() - 5 ? 7 : 1) {  // and the last ones
    Case c(all[i]);
    const AttendArgs a = c.args();
    const std::vector<float> want = plain(a);
    for_each_target([&] {
      const std::vector<float> got = fast(a, 2);
      for (size_t j = 0; j < want.size(); ++j) {
        ASSERT_NEAR(got[j], want[j], 2e-5) << all[i] << " element " << j;
      }
    });
  }
}

TEST(Attend, AnInt8CacheEqualsTheReferenceToRounding) {
  const std::vector<Shape> all = shapes();
  for (size_t i = 0; i < all.size(); i += i + 3 < all.size() - 5 ? 3 : 1) {
    if (all[i].n_tokens < kScaleBlock) continue;
    Case c(all[i]);
    AttendArgs a = c.args();
    const int64_t complete = complete_blocks(all[i].n_tokens);
    Int8Keys keys(a.pages, all[i].n_tokens), values(a.pages, all[i].n_tokens);
    a.pages.k8 = keys.table().data();
    a.pages.v8 = values.table().data();
    reference::quantize_keys({a.pages, 0, complete});
    // Up to the end of the last block but one, and to that of all: whole pages below are in int8 alone.
    for (const int64_t int8_end : {complete_blocks(complete / 2), complete}) {
      a.int8_end = int8_end;
      std::vector<void*> k(a.pages.k, a.pages.k + keys.table().size());
      std::vector<void*> v(a.pages.v, a.pages.v + keys.table().size());
      for (int64_t page = 0; page < int8_end / kPageTokens; ++page) {
        k[static_cast<size_t>(page)] = v[static_cast<size_t>(page)] = nullptr;
      }
      AttendArgs b = a;
      b.pages.k = k.data();
      b.pages.v = v.data();
      const std::vector<float> want = plain(b);
      for_each_target([&] {
        const std::vector<float> got = fast(b, 2);
        for (size_t j = 0; j < want.size(); ++j) {
          ASSERT_NEAR(got[j], want[j], 2e-5)
              << all[i] << ", int8 below " << int8_end << ", element " << j;
        }
        ASSERT_EQ(std::memcmp(fast(b, 1).data(), got.data(), got.size() * sizeof(float)), 0);
      });
    }
  }
}

TEST(Attend, LargeScoresNeitherOverflowNorVanish) {
  for (const int64_t n_queries : {1, 40}) {
    Case c({n_queries, 3, 1, 64, 700, 0, 0, 0, DType::kF32, RopeLayout::kInterleaved}, 300);
    const AttendArgs a = c.args();
    const std::vector<float> want = plain(a), got = fast(a, 2);
    // Scores of some 1000: what rounding leaves of them moves close competitors by a few 1e-4.
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 5e-3) << i;
  }
}

TEST(Attend, OneQueryEqualsTheLastOfMany) {
  Case many({20, 9, 3, 64, 900, 16, 500, 100, DType::kF16, RopeLayout::kInterleaved});
  const std::vector<float> all = fast(many.args(), 2);
  AttendArgs a = many.args();
  const int64_t row = 9 * 64;
  a.q += 19 * row;
  a.n_queries = 1;
  const std::vector<float> last = fast(a, 2);
  for (int64_t i = 0; i < row; ++i) {
    EXPECT_NEAR(last[static_cast<size_t>(i)], all[static_cast<size_t>(19 * row + i)], 1e-5);
  }
}

TEST(Attend, SameBitsForAnyThreadsAndOnRepeat) {
  for (const int64_t n_queries : {1, 20, 200}) {
    Case c({n_queries, 9, 3, 64, 3'000, 32, 2'600, 400, DType::kF16, RopeLayout::kInterleaved});
    const AttendArgs a = c.args();
    const std::vector<float> once = fast(a, 1);
    for (const int32_t n_threads : {1, 2, 5}) {
      const std::vector<float> again = fast(a, n_threads);
      EXPECT_EQ(std::memcmp(again.data(), once.data(), once.size() * sizeof(float)), 0);
    }
  }
}

TEST(Attend, NothingRecalledNeedsNoList) {
  Case c({7, 9, 3, 64, 300, 16, 200, 0, DType::kF16, RopeLayout::kInterleaved});
  AttendArgs a = c.args();
  const std::vector<float> with = fast(a, 1);
  a.recalled = nullptr;
  a.n_recalled = nullptr;
  EXPECT_EQ(fast(a, 1), with);
}

TEST(Attend, NanComesOutWhereTheReferenceHasIt) {
  for (const int64_t n_queries : {1, 20}) {
    Case c({n_queries, 3, 1, 64, 300, 0, 0, 0, DType::kF32, RopeLayout::kInterleaved});
    c.q[5] = std::numeric_limits<float>::quiet_NaN();
    c.q[64 + 5] = std::numeric_limits<float>::infinity();
    const std::vector<float> out = fast(c.args(), 2);
    EXPECT_TRUE(std::isnan(out[0]));
    EXPECT_TRUE(std::isnan(out[64]));
    const std::vector<float> want = plain(c.args());
    for (size_t i = 128; i < out.size(); ++i) ASSERT_NEAR(out[i], want[i], 2e-5);
    c.k[70] = std::numeric_limits<float>::infinity();
    c.v[70] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> got = fast(c.args(), 2), broken = plain(c.args());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(std::isnan(got[i]), std::isnan(broken[i])) << i;
    }
  }
}

TEST(Attend, CancelEndsIt) {
  for (const int64_t n_queries : {1, 20}) {
    Case c({n_queries, 3, 1, 64, 300, 0, 0, 0, DType::kF32, RopeLayout::kInterleaved});
    const std::atomic<bool> cancel = true;
    try {
      fast(c.args(), 2, &cancel);
      FAIL() << "not cancelled";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCancelled);
    }
  }
}

TEST(Attend, BadArgumentsAreNamed) {
  Case c({7, 3, 1, 64, 300, 16, 200, 10, DType::kF32, RopeLayout::kInterleaved});
  const auto message = [](const AttendArgs& a) {
    try {
      fast(a, 1);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  AttendArgs a = c.args();
  a.rope.n_positions = 125;
  EXPECT_NE(message(a).find("the scope is 126"), std::string::npos) << message(a);
  a = c.args();
  a.n_tokens = 205;
  EXPECT_NE(message(a).find("n_queries is 7"), std::string::npos) << message(a);
  a = c.args();
  c.recalled[3] = 5'000'000;
  EXPECT_NE(message(a).find("5000000"), std::string::npos) << message(a);
}

TEST(KvAppend, HalfIsRoundedToNearestEven) {
  // Every half, what lies half-way to the next one, and a little to both sides of that.
  std::vector<float> values;
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float x = reference::half_to_float(static_cast<uint16_t>(h));
    const float next = reference::half_to_float(static_cast<uint16_t>(h + 1));
    const float middle = std::isfinite(x) && std::isfinite(next) ? 0.5f * (x + next) : x;
    for (const float value :
         {x, middle, std::nextafter(middle, 1e30f), std::nextafter(middle, -1e30f)}) {
      values.push_back(value);
    }
  }
  for (const float x : {65519.9f, 65520.0f, 1e6f, 1e-8f, 2.98e-8f, 2.99e-8f, 1e-30f}) {
    values.push_back(x);
    values.push_back(-x);
  }
  for (const float x : values) {
    const uint16_t got = reference::float_to_half(x);
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(reference::half_to_float(got)));
      continue;
    }
    // The nearest of the three neighbours in value; where two are as near, the even one.
    ASSERT_EQ(std::signbit(x), (got & 0x8000) != 0) << x;
    const auto distance = [&](int h) {
      const int magnitude = h & 0x7fff;  // infinity stands for 65536
      const double y = magnitude == 0x7c00
                           ? 65536.0
                           : reference::half_to_float(static_cast<uint16_t>(magnitude));
      return std::abs(std::min(std::abs(static_cast<double>(x)), 65536.0) - y);
    };
    const int m = got & 0x7fff;
    for (const int other : {m - 1, m + 1}) {
      if (other < 0 || other > 0x7c00) continue;
      ASSERT_TRUE(distance(m) < distance(other) || (distance(m) == distance(other) && m % 2 == 0))
          << x << " became " << m;
    }
  }
  values.resize(values.size() / 24 * 24);

  for (const DType dtype : {DType::kF16, DType::kF32}) {
    const auto n_new = static_cast<int64_t>(values.size() / 24);
    std::vector<float> zeros(static_cast<size_t>((n_new + 300) * 24));
    const PagedCache want(dtype, 2, 12, zeros, zeros), got(dtype, 2, 12, zeros, zeros);
    KvAppendArgs a{values.data(), values.data(), n_new, 300, want.pages};
    reference::kv_append(a);
    a.pages = got.pages;
    cpu::ThreadPool pool(2);
    cpu::ScratchPool scratch;
    for_each_target([&] {
      cpu::kv_append({pool, scratch, nullptr}, a);
      for (int64_t page = 0; page < (n_new + 300 + kPageTokens - 1) / kPageTokens; ++page) {
        const auto bytes = static_cast<size_t>(row_bytes(dtype, kPageTokens * 24));
        EXPECT_EQ(std::memcmp(want.pages.k[page], got.pages.k[page], bytes), 0) << page;
        EXPECT_EQ(std::memcmp(want.pages.v[page], got.pages.v[page], bytes), 0) << page;
      }
    });
  }
}

}  // namespace
}  // namespace reattn::kernels
