// The fast dense layers against the reference: odd shapes, every element type, and the same bits
// whatever the number of threads or of rows beside.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "kernels/cpu/linear/quant_rows.hpp"
#include "kernels/cpu/linear/rows.hpp"
#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cpu/reference/reference.hpp"
#include "tests/kernels/each_target.hpp"
#include "tests/kernels/random_matrix.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Machine {
  explicit Machine(int32_t n_threads) : pool(n_threads) {}
  ThreadPool pool;
  ScratchPool scratch;
  Context context{pool, scratch, nullptr};
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// What rounding the input to 24 bits may cost an output: half a step in each element, of 8,355,600 to its block's largest.
double rounding_of_input(const MatmulArgs& a, int64_t row, int64_t output) {
  if (!has_quantised_dot(a.w.dtype) || a.n_rows > kMaxDotRows) return 0;
  std::vector<float> weights(static_cast<size_t>(a.w.n_cols));
  reference::dequantize_row(a.w, output, weights.data());
  const float* x = a.x + row * a.w.n_cols;
  double cost = 0;
  for (int64_t block = 0; block < a.w.n_cols; block += 32) {
    float most = 0;
    double sum = 0;
    for (int64_t i = block; i < block + 32; ++i) {
      most = std::max(most, std::fabs(x[i]));
      sum += std::fabs(weights[static_cast<size_t>(i)]) + (has_minimum(a.w.dtype) ? 1.0 : 0.0);
    }
    cost += sum * most * 0.501 / 8'355'600;
  }
  return cost;
}

// Both sides round at most once per term: the error is small against the sum of absolute terms.
double tolerance(const MatmulArgs& a, int64_t row, int64_t output, float want) {
  std::vector<float> weights(static_cast<size_t>(a.w.n_cols));
  reference::dequantize_row(a.w, output, weights.data());
  double size = 1e-6 + std::fabs(want);
  for (int64_t i = 0; i < a.w.n_cols; ++i) {
    // Such a weight is the difference of two larger terms.
    const double w =
        std::fabs(weights[static_cast<size_t>(i)]) + (has_minimum(a.w.dtype) ? 1.0 : 0.0);
    size += std::fabs(a.x[row * a.w.n_cols + i]) * w;
  }
  return size * 5e-7 + rounding_of_input(a, row, output);
}

void expect_product(const MatmulArgs& a, const std::vector<float>& got,
                    const std::vector<float>& want) {
  for (int64_t o = 0; o < a.w.n_rows; ++o) {
    for (int64_t r = 0; r < a.n_rows; ++r) {
      const auto at = static_cast<size_t>(r * a.w.n_rows + o);
      ASSERT_NEAR(got[at], want[at], tolerance(a, r, o, want[at]))
          << dtype_info(a.w.dtype).name << ", row " << r << " of " << a.n_rows << ", output " << o
          << " of " << a.w.n_rows << ", n_in " << a.w.n_cols;
    }
  }
}

class MatmulTest : public testing::TestWithParam<DType> {
 protected:
  Machine one_{1}, two_{2};
};

TEST_P(MatmulTest, EqualsTheReferenceOnOddShapes) {
  for (const int64_t n_rows : {1, 2, 7, 8, 15, 16, 33, 512}) {
    for (const int64_t n_out : {1, 3, 100, 192}) {
      for (const int64_t columns : {32, 64, 576}) {
        if (n_rows == 512 && columns != 64) continue;  // the reference is slow
        const int64_t n_in = whole_columns(GetParam(), columns);
        const RandomMatrix w(GetParam(), n_out, n_in, 7);
        const std::vector<float> x = random_floats(n_rows * n_in, 8);
        const std::vector<float> bias = random_floats(n_out, 9);
        const std::vector<float> before = random_floats(n_rows * n_out, 10);
        for (const bool accumulate : {false, true}) {
          for (const bool with_bias : {false, true}) {
            std::vector<float> got = before, again = before, want = before;
            if (!accumulate) std::fill(got.begin(), got.end(), NAN);  // not to be read
            MatmulArgs a{x.data(),   n_rows,    w.matrix(), with_bias ? bias.data() : nullptr,
                         got.data(), accumulate};
            matmul(two_.context, a);
            a.out = want.data();
            reference::matmul(a);
            expect_product(a, got, want);
            a.out = again.data();
            matmul(one_.context, a);
            ASSERT_TRUE(same_bits(got, again)) << "1 thread and 2 threads differ";
          }
        }
      }
    }
  }
}

// Splitting a step's rows in any way must not change what a row gives, on either side of the
// in-place limit.
TEST_P(MatmulTest, ARowDoesNotDependOnTheOthers) {
  constexpr int64_t kRows = 500, kOut = 200;
  const int64_t n_in = whole_columns(GetParam(), 576);
  const RandomMatrix w(GetParam(), kOut, n_in, 1);
  const std::vector<float> x = random_floats(kRows * n_in, 2);
  const std::vector<float> before = random_floats(kRows * kOut, 3);
  const auto product = [&](int64_t begin, int64_t n, bool accumulate) {
    std::vector<float> out(before.begin() + begin * kOut, before.begin() + (begin + n) * kOut);
    matmul(two_.context, {x.data() + begin * n_in, n, w.matrix(), nullptr, out.data(), accumulate});
    return out;
  };
  for (const bool accumulate : {false, true}) {
    const std::vector<float> many = product(0, kRows, accumulate);
    for (const int64_t n : {16, 17, 31, 100, 191, 193, 256, 384}) {
      for (const int64_t begin : {0, 5, 100}) {
        const std::vector<float> part = product(begin, n, accumulate);
        ASSERT_EQ(std::memcmp(part.data(), many.data() + begin * kOut, part.size() * 4), 0)
            << n << " rows from " << begin;
      }
    }
    const std::vector<float> few = product(0, 15, accumulate);
    for (const int64_t n : {1, 2, 3, 4, 5, 7, 14}) {
      const std::vector<float> part = product(1, n, accumulate);
      ASSERT_EQ(std::memcmp(part.data(), few.data() + kOut, part.size() * 4), 0) << n << " rows";
    }
  }
}

TEST_P(MatmulTest, UnpacksExactly) {
  const int64_t n_cols = whole_columns(GetParam(), 96);
  const RandomMatrix w(GetParam(), 40, n_cols, 4);
  const std::vector<int32_t> ids{39, 0, 17, 17, 3};
  std::vector<float> got(static_cast<size_t>(5 * n_cols)), want = got;
  EmbedArgs a{w.matrix(), ids.data(), 5, got.data()};
  embed(two_.context, a);
  a.out = want.data();
  reference::embed(a);
  // One multiplication and one addition: equal to the last bit, unless the compiler fused them in
  // one of the two.
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 4e-7F) << i;
}

TEST_P(MatmulTest, CancelsAndRefusesRaggedBlocks) {
  const RandomMatrix w(GetParam(), 64, whole_columns(GetParam(), 64), 4);
  std::vector<float> x(static_cast<size_t>(64 * w.n_cols)), out(64 * 64);
  const std::atomic<bool> cancel{true};
  const Context cancelled{two_.pool, two_.scratch, &cancel};
  for (const int64_t n_rows : {1, 64}) {
    EXPECT_THROW(matmul(cancelled, {x.data(), n_rows, w.matrix(), nullptr, out.data(), false}),
                 Error);
  }
  Matrix ragged = w.matrix();
  ragged.n_cols = 63;
  const MatmulArgs a{x.data(), 1, ragged, nullptr, out.data(), false};
  if (dtype_info(GetParam()).block_elements > 1) {
    EXPECT_THROW(matmul(two_.context, a), Error);
  } else {  // plain rows may have any length
    std::vector<float> want(64);
    matmul(two_.context, a);
    reference::matmul({x.data(), 1, ragged, nullptr, want.data(), false});
    EXPECT_EQ(out[63], want[63]);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MatmulTest, testing::ValuesIn(kAllTypes),
                         [](const auto& type) { return std::string(dtype_info(type.param).name); });

TEST(Matmul, PlainRowsOfAnyLength) {
  Machine two(2);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const int64_t n_in : {1, 5, 31, 65}) {
      for (const int64_t n_rows : {1, 20}) {
        const RandomMatrix w(type, 9, n_in, 5);
        const std::vector<float> x = random_floats(n_rows * n_in, 6);
        std::vector<float> got(static_cast<size_t>(n_rows * 9)), want = got;
        MatmulArgs a{x.data(), n_rows, w.matrix(), nullptr, got.data(), false};
        matmul(two.context, a);
        a.out = want.data();
        reference::matmul(a);
        expect_product(a, got, want);
      }
    }
  }
}

// A step of generation must give the same on every machine of a kind, and near the same on all.
TEST(Matmul, EveryTargetEqualsTheReferenceOnOddShapes) {
  Machine two(2);
  for (const DType type : kBlockTypes) {
    const int64_t n_in = dtype_info(type).block_elements == 256 ? 768 : 288;
    for (const int64_t n_rows : {1, 3, 4, 5, 15, 20}) {
      for (const int64_t n_out : {1, 5, 130}) {
        const RandomMatrix w(type, n_out, n_in, 7);
        const std::vector<float> x = random_floats(n_rows * n_in, 8);
        std::vector<float> got(static_cast<size_t>(n_rows * n_out)), want = got;
        MatmulArgs a{x.data(), n_rows, w.matrix(), nullptr, want.data(), false};
        reference::matmul(a);
        a.out = got.data();
        for_each_target([&] {
          matmul(two.context, a);
          expect_product(a, got, want);
        });
      }
    }
  }
}

// Longer than what is summed or packed at a time, and no whole number of it.
TEST(Matmul, LongRowsAndMany) {
  constexpr int64_t kRows = 530, kOut = 70;
  Machine one(1), two(2);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_1, DType::kQ6_K}) {
    const int64_t n_in = dtype_info(type).block_elements > 1 ? 1792 : 1565;
    const RandomMatrix w(type, kOut, n_in, 7);
    const std::vector<float> x = random_floats(kRows * n_in, 8), bias = random_floats(kOut, 9);
    const std::vector<float> before = random_floats(kRows * kOut, 10);
    for (const bool accumulate : {false, true}) {
      std::vector<float> got = before, again = before, want = before, part = before;
      MatmulArgs a{x.data(), kRows, w.matrix(), bias.data(), got.data(), accumulate};
      matmul(two.context, a);
      a.out = want.data();
      reference::matmul(a);
      expect_product(a, got, want);
      a.out = again.data();
      matmul(one.context, a);
      ASSERT_TRUE(same_bits(got, again)) << "1 thread and 2 threads differ";
      a.x += 501 * n_in;
      a.n_rows = 29;
      a.out = part.data() + 501 * kOut;
      matmul(two.context, a);
      ASSERT_EQ(std::memcmp(a.out, got.data() + 501 * kOut, 29 * kOut * sizeof(float)), 0);
    }
  }
}

TEST(Matmul, StrangeInputsGiveNoNumbers) {
  Machine one(1);
  for (const DType type : kBlockTypes) {
    const int64_t n_in = whole_columns(type, 64);
    const RandomMatrix w(type, 9, n_in, 7);
    for (const float strange : {kInf, -kInf, std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<float> x = random_floats(2 * n_in, 8), out(18);
      x[40] = strange;
      for_each_target([&] {
        matmul(one.context, {x.data(), 2, w.matrix(), nullptr, out.data(), false});
        for (size_t i = 0; i < 9; ++i) EXPECT_FALSE(std::isfinite(out[i]));
        for (size_t i = 9; i < 18; ++i) EXPECT_TRUE(std::isfinite(out[i]));
      });
    }
    const std::vector<float> zeros(static_cast<size_t>(n_in));
    std::vector<float> out(9, 1.0F);
    matmul(one.context, {zeros.data(), 1, w.matrix(), nullptr, out.data(), false});
    EXPECT_EQ(out, std::vector<float>(9));
  }
}

TEST(Matmul, ScalesAtTheEdgesOfHalfPrecision) {
  Machine two(2);
  for (const DType type : kBlockTypes) {
    const int64_t n_in = whole_columns(type, 64);
    RandomMatrix w(type, 6, n_in, 5);
    const auto first_block = [&](size_t row) {
      return row * static_cast<size_t>(n_in / dtype_info(type).block_elements);
    };
    w.set_scale(first_block(0), 0x0001);  // the smallest subnormal
    w.set_scale(first_block(1), 0x83ff);  // the largest negative subnormal
    w.set_scale(first_block(2), 0x7bff);  // 65504
    w.set_scale(first_block(3), 0x8000);  // -0
    w.set_scale(first_block(4), 0x7c00);  // infinity
    w.set_scale(first_block(5), 0x7e00);  // NaN
    for (const int64_t n_rows : {1, 20}) {
      const std::vector<float> x = random_floats(n_rows * n_in, 6);
      std::vector<float> got(static_cast<size_t>(n_rows * 6)), want = got;
      MatmulArgs a{x.data(), n_rows, w.matrix(), nullptr, got.data(), false};
      matmul(two.context, a);
      a.out = want.data();
      reference::matmul(a);
      for (size_t i = 0; i < got.size(); ++i) {
        if (std::isfinite(want[i])) {
          const auto row = static_cast<int64_t>(i) / 6, output = static_cast<int64_t>(i) % 6;
          EXPECT_NEAR(got[i], want[i], tolerance(a, row, output, want[i])) << i;
        } else {
          EXPECT_FALSE(std::isfinite(got[i])) << i;
        }
      }
    }
  }
}

TEST(Embed, RefusesIdsOutsideTheTable) {
  Machine one(1);
  const RandomMatrix w(DType::kF32, 4, 8, 1);
  std::vector<float> out(8);
  for (const int32_t id : {-1, 4}) {
    EXPECT_THROW(embed(one.context, {w.matrix(), &id, 1, out.data()}), Error);
  }
}

TEST(RmsNorm, EqualsTheReference) {
  Machine one(1), two(2);
  for (const int64_t n_rows : {1, 3, 100}) {
    for (const int64_t n_cols : {1, 7, 64, 576, 4099}) {
      std::vector<float> x = random_floats(n_rows * n_cols, 1, 30.0F);
      x[0] = 1e25F;  // its square is beyond a float
      const std::vector<float> weight = random_floats(n_cols, 2);
      std::vector<float> got(x.size()), want(x.size()), in_place = x;
      RmsNormArgs a{x.data(), weight.data(), n_rows, n_cols, 1e-5F, got.data()};
      rms_norm(two.context, a);
      a.out = want.data();
      reference::rms_norm(a);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(got[i], want[i], 5e-7F * std::fabs(want[i]) + 1e-30F) << i;
      }
      a.x = a.out = in_place.data();
      rms_norm(one.context, a);
      EXPECT_TRUE(same_bits(in_place, got));
    }
  }
}

TEST(Swiglu, EqualsTheReference) {
  Machine one(1), two(2);
  for (const int64_t n : {1, 7, 16, 1536, 40'001}) {
    std::vector<float> gate = random_floats(n, 1, 6.0F);
    const std::vector<float> up = random_floats(n, 2);
    if (n > 16) {
      const float extremes[] = {0.0F, -0.0F, 87.0F, -87.0F, 1e30F, -1e30F, kInf, -200.0F};
      std::copy(std::begin(extremes), std::end(extremes), gate.begin());
    }
    std::vector<float> got(gate.size()), want(gate.size()), in_place = gate;
    SwigluArgs a{gate.data(), up.data(), n, got.data()};
    swiglu(two.context, a);
    a.out = want.data();
    reference::swiglu(a);
    for (size_t i = 0; i < got.size(); ++i) {
      if (std::isinf(want[i])) {
        ASSERT_EQ(got[i], want[i]) << gate[i];
      } else {
        ASSERT_NEAR(got[i], want[i], 1e-6F * std::fabs(want[i]) + 1e-7F) << gate[i];
      }
    }
    a.gate = a.out = in_place.data();
    swiglu(one.context, a);
    EXPECT_TRUE(same_bits(in_place, got));
  }
}

TEST(Swiglu, PassesNanOn) {
  Machine one(1);
  std::vector<float> gate(20, 1.0F), up(20, 1.0F), out(20);
  gate[3] = gate[18] = up[5] = NAN;
  swiglu(one.context, {gate.data(), up.data(), 20, out.data()});
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(std::isnan(out[i]), i == 3 || i == 5 || i == 18) << i;
}

TEST(RmsNorm, AddsToWhatIsThere) {
  Machine two(2);
  const std::vector<float> x = random_floats(50 * 576, 1), weight = random_floats(576, 2);
  std::vector<float> got = random_floats(50 * 576, 3), want = got;
  RmsNormArgs a{x.data(), weight.data(), 50, 576, 1e-5F, got.data(), true};
  rms_norm(two.context, a);
  a.out = want.data();
  reference::rms_norm(a);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(got[i], want[i], 4e-6F) << i;
}

TEST(Embed, Scales) {
  Machine two(2);
  const RandomMatrix w(DType::kQ8_0, 9, 64, 1);
  const std::vector<int32_t> ids{8, 0, 3};
  std::vector<float> plain(3 * 64), got(3 * 64), want(3 * 64);
  embed(two.context, {w.matrix(), ids.data(), 3, plain.data()});
  embed(two.context, {w.matrix(), ids.data(), 3, got.data(), 3.5F});
  reference::embed({w.matrix(), ids.data(), 3, want.data(), 3.5F});
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i], 3.5F * plain[i]) << i;
    ASSERT_NEAR(got[i], want[i], 2e-6F) << i;
  }
}

TEST(Geglu, EqualsTheReference) {
  Machine two(2);
  for (const int64_t n : {1, 7, 64, 40'001}) {
    std::vector<float> gate = random_floats(n, 1, 4.0F);
    const std::vector<float> up = random_floats(n, 2);
    gate[0] = -60;  // far out on either side
    gate[static_cast<size_t>(n - 1)] = n > 1 ? 60.0F : -60.0F;
    std::vector<float> got(gate.size()), want(gate.size());
    geglu(two.context, {gate.data(), up.data(), n, got.data()});
    reference::geglu({gate.data(), up.data(), n, want.data()});
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 2e-6F * (1 + std::fabs(want[i]))) << i << ' ' << gate[i];
    }
  }
}

}  // namespace
}  // namespace reattn::kernels::cpu
