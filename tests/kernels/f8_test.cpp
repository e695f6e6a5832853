// E4M3 numbers, rows of them, and devices that hold weights so or do not.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cpu/reference/f8.hpp"
#include "kernels/cpu/reference/reference.hpp"
#include "tests/kernels/random_matrix.hpp"

namespace reattn::kernels {
namespace {

TEST(F8, NumbersAsTheStandardHasThem) {
  EXPECT_EQ(reference::f8_to_float(0x00), 0.0F);
  EXPECT_EQ(reference::f8_to_float(0x01), 0x1p-9F);
  EXPECT_EQ(reference::f8_to_float(0x07), 0x1.Cp-7F);
  EXPECT_EQ(reference::f8_to_float(0x08), 0x1p-6F);
  EXPECT_EQ(reference::f8_to_float(0x38), 1.0F);
  EXPECT_EQ(reference::f8_to_float(0x7E), 448.0F);
  EXPECT_EQ(reference::f8_to_float(0xFE), -448.0F);
  EXPECT_TRUE(std::isnan(reference::f8_to_float(0x7F)));
}

TEST(F8, RoundsToTheNearestAndTiesToEven) {
  for (int code = 0; code < 0x7E; ++code) {
    const float here = reference::f8_to_float(static_cast<uint8_t>(code)),
                next = reference::f8_to_float(static_cast<uint8_t>(code + 1));
    const float middle = (here + next) / 2;
    EXPECT_LT(here, next);
    EXPECT_EQ(reference::float_to_f8(here), code);
    EXPECT_EQ(reference::float_to_f8(-here), code | 128);
    EXPECT_EQ(reference::float_to_f8(middle), code % 2 == 0 ? code : code + 1);
    EXPECT_EQ(reference::float_to_f8(std::nextafter(middle, 0.0F)), code);
    EXPECT_EQ(reference::float_to_f8(std::nextafter(middle, 1e9F)), code + 1);
  }
  EXPECT_EQ(reference::float_to_f8(449), 0x7E);
  EXPECT_EQ(reference::float_to_f8(-1e30F), 0xFE);
  EXPECT_EQ(reference::float_to_f8(INFINITY), 0x7E);
  EXPECT_EQ(reference::float_to_f8(NAN) & 127, 127);
}

TEST(F8, ARowsLargestBecomes448) {
  const std::vector<float> x = random_floats(1000, 1, 0.03F);
  std::vector<uint8_t> codes(x.size());
  const float scale = reference::quantize_row(x.data(), 1000, codes.data());
  float most = 0;
  for (const float v : x) most = std::fmax(most, std::fabs(v));
  EXPECT_EQ(scale, most / 448);
  double error = 0, size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::fabs(x[i]) == most) {
      EXPECT_EQ(codes[i] & 127, 0x7E);
    }
    error += std::pow(static_cast<double>(reference::f8_to_float(codes[i])) * scale - x[i], 2);
    size += std::pow(static_cast<double>(x[i]), 2);
  }
  EXPECT_LT(std::sqrt(error / size), 0.03);
}

TEST(F8, RowsOfNothing) {
  std::vector<uint8_t> codes(3, 99);
  const std::vector<float> zeros(3), tiny{1e-40F, 0, -1e-40F};
  EXPECT_EQ(reference::quantize_row(zeros.data(), 3, codes.data()), 1.0F);
  EXPECT_EQ(codes, std::vector<uint8_t>(3));
  EXPECT_EQ(reference::quantize_row(tiny.data(), 3, codes.data()), 1.0F);
  EXPECT_EQ(reference::f8_to_float(codes[2]), 0.0F);
}

TEST(F8, TheReferenceDeviceHoldsItAndTheCpuDoesNot) {
  const auto reference = make_reference_device();
  ASSERT_TRUE(reference->holds_f8());
  const RandomMatrix w(DType::kQ8_0, 5, 96, 1);
  std::vector<uint8_t> codes(5 * 96);
  std::vector<float> scales(5);
  const Matrix held{codes.data(), DType::kF8, 5, 96, scales.data()};
  Stream s;
  reference->upload_rows(s, {rows_of(w.matrix(), 0, 2), rows_of(held, 0, 2)});
  reference->upload_rows(s, {rows_of(w.matrix(), 2, 3), rows_of(held, 2, 3)});
  std::vector<float> row(96), back(96);
  for (int64_t r = 0; r < 5; ++r) {
    reference::dequantize_row(w.matrix(), r, row.data());
    std::vector<uint8_t> want(96);
    EXPECT_EQ(scales[static_cast<size_t>(r)], reference::quantize_row(row.data(), 96, want.data()));
    EXPECT_EQ(std::memcmp(want.data(), &codes[static_cast<size_t>(r * 96)], 96), 0);
    reference::dequantize_row(held, r, back.data());
    EXPECT_EQ(back[7], reference::f8_to_float(want[7]) * scales[static_cast<size_t>(r)]);
  }

  const std::vector<float> x = random_floats(96, 2);
  std::vector<float> exact(5), got(5);
  reference->matmul(s, {x.data(), 1, w.matrix(), nullptr, exact.data(), false});
  reference->matmul(s, {x.data(), 1, held, nullptr, got.data(), false});
  double error = 0, size = 0;
  for (size_t i = 0; i < 5; ++i) {
    error += std::pow(got[i] - exact[i], 2);
    size += std::pow(exact[i], 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(std::sqrt(error / size), 0.1);

  const auto cpu = make_cpu_device(1);
  EXPECT_FALSE(cpu->holds_f8());
  try {
    cpu->upload_rows(s, {w.matrix(), held});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(e.what()).find("F8"), std::string::npos) << e.what();
  }
}

// Whole rows at a time, however long they are; the numbers are those of BF16 weights.
TEST(F8, RandomWeightsAreThoseOfBf16) {
  const auto device = make_reference_device();
  constexpr int64_t kRows = 3, kCols = 700'000;
  std::vector<uint16_t> plain(kRows * kCols);
  std::vector<uint8_t> codes(kRows * kCols);
  std::vector<float> scales(kRows), row(kCols);
  Stream s;
  const RandomArgs random{.seed = 5, .deviation = 0.02F};
  device->fill_random(s, {plain.data(), DType::kBF16, kRows, kCols}, random);
  device->fill_random(s, {codes.data(), DType::kF8, kRows, kCols, scales.data()}, random);
  std::vector<uint8_t> want(kCols);
  for (int64_t r = 0; r < kRows; ++r) {
    reference::dequantize_row({plain.data(), DType::kBF16, kRows, kCols}, r, row.data());
    EXPECT_EQ(scales[static_cast<size_t>(r)],
              reference::quantize_row(row.data(), kCols, want.data()));
    EXPECT_EQ(std::memcmp(want.data(), &codes[static_cast<size_t>(r * kCols)], kCols), 0);
  }
}

}  // namespace
}  // namespace reattn::kernels
