// F8 weights on the CUDA device against the reference: made, multiplied by few rows and by many.
#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cpu/reference/f8.hpp"
#include "kernels/cpu/reference/reference.hpp"
#include "kernels/cuda/ops.hpp"
#include "tests/kernels/cuda_context.hpp"
#include "tests/kernels/cuda_fixture.hpp"
#include "tests/kernels/random_matrix.hpp"

namespace reattn::kernels {
namespace {

constexpr int64_t kFewRows = 8;  // up to here x is not rounded

// The same F8 matrix in host and in device memory.
struct TwinF8 {
  TwinF8(std::vector<uint8_t> of_rows, std::vector<float> of, int64_t rows, int64_t cols)
      : host_codes(std::move(of_rows)),
        host_scales(std::move(of)),
        n_rows(rows),
        n_cols(cols),
        codes(host_codes),
        scales(host_scales) {}
  TwinF8(int64_t rows, int64_t cols, uint32_t seed) : TwinF8(quantized(rows, cols, seed)) {}

  Matrix on_host() const {
    return {host_codes.data(), DType::kF8, n_rows, n_cols, host_scales.data()};
  }
  Matrix on_device() const { return {codes.data(), DType::kF8, n_rows, n_cols, scales.data()}; }

  std::vector<uint8_t> host_codes;
  std::vector<float> host_scales;
  int64_t n_rows, n_cols;
  DeviceArray<uint8_t> codes;
  DeviceArray<float> scales;

 private:
  struct Quantized {
    std::vector<uint8_t> codes;
    std::vector<float> scales;
    int64_t n_rows, n_cols;
  };
  explicit TwinF8(Quantized q) : TwinF8(q.codes, q.scales, q.n_rows, q.n_cols) {}
  static Quantized quantized(int64_t rows, int64_t cols, uint32_t seed) {
    Quantized q{std::vector<uint8_t>(static_cast<size_t>(rows * cols)),
                std::vector<float>(static_cast<size_t>(rows)), rows, cols};
    const std::vector<float> w = random_floats(rows * cols, seed, 0.1F);
    for (int64_t r = 0; r < rows; ++r) {
      q.scales[static_cast<size_t>(r)] =
          reference::quantize_row(w.data() + r * cols, cols, q.codes.data() + r * cols);
    }
    return q;
  }
};

double distance(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - want[i], 2);
    size += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(error / size);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// As a product of many rows sees them.
std::vector<float> through_f8(const std::vector<float>& x, int64_t n_cols) {
  std::vector<float> out(x.size());
  std::vector<uint8_t> codes(static_cast<size_t>(n_cols));
  for (size_t at = 0; at < x.size(); at += static_cast<size_t>(n_cols)) {
    const float scale = reference::quantize_row(&x[at], n_cols, codes.data());
    for (size_t i = 0; i < codes.size(); ++i) {
      out[at + i] = reference::f8_to_float(codes[i]) * scale;
    }
  }
  return out;
}
float through_bf16(float x) {
  return reference::bf16_to_float(reference::float_to_bf16(x));
}

class CudaF8 : public CudaTest {
 protected:
  std::vector<float> product(const TwinF8& w, const std::vector<float>& x,
                             const std::vector<float>* bias, const std::vector<float>& before,
                             bool accumulate) {
    const int64_t n_rows = static_cast<int64_t>(x.size()) / w.n_cols;
    const DeviceArray<float> dx(x), dbias(bias != nullptr ? *bias : std::vector<float>(1));
    DeviceArray<float> out(before.size());
    if (accumulate) {
      out.upload(before);
    } else {
      out.fill_bytes(0xFF);
    }
    device().matmul(stream_, {dx.data(), n_rows, w.on_device(),
                              bias != nullptr ? dbias.data() : nullptr, out.data(), accumulate});
    return out.download();
  }
  static std::vector<float> wanted(const Matrix& w, const std::vector<float>& x,
                                   const std::vector<float>* bias, std::vector<float> before,
                                   bool accumulate) {
    reference::matmul({x.data(), static_cast<int64_t>(x.size()) / w.n_cols, w,
                       bias != nullptr ? bias->data() : nullptr, before.data(), accumulate});
    return before;
  }
  // Where cuBLASLt does not know the product, weights are BF16 in it; x too, where it knows that one.
  static std::vector<float> wanted_expanded(const TwinF8& w, std::vector<float> x, bool round_x,
                                            const std::vector<float>* bias,
                                            const std::vector<float>& before, bool accumulate) {
    std::vector<float> weights(w.host_codes.size());
    for (int64_t r = 0; r < w.n_rows; ++r) {
      reference::dequantize_row(w.on_host(), r, weights.data() + r * w.n_cols);
    }
    for (float& v : weights) v = through_bf16(v);
    if (round_x) {
      for (float& v : x) v = through_bf16(v);
    }
    return wanted({weights.data(), DType::kF32, w.n_rows, w.n_cols}, x, bias, before, accumulate);
  }
};

TEST_F(CudaF8, QuantizesRowsAsTheReference) {
  ASSERT_TRUE(device().holds_f8());
  for (const DType type : kAllTypes) {
    for (const int64_t n_cols : {32, 96, 576, 4096, 20'000, 5, 13}) {
      if (n_cols % dtype_info(type).block_elements != 0) continue;
      RandomMatrix w(type, 6, n_cols, 4);
      const auto row = static_cast<size_t>(row_bytes(type, n_cols));
      std::memset(w.bytes.data() + row, 0, row);  // a row of zeros
      if (type == DType::kF32) {
        const float tiny = 1e-40F;
        std::memset(w.bytes.data() + 2 * row, 0, row);
        std::memcpy(w.bytes.data() + 2 * row, &tiny, 4);
      }
      std::vector<uint8_t> codes(static_cast<size_t>(6 * n_cols));
      std::vector<float> scales(6);
      reference::quantize_rows({w.matrix(), {codes.data(), DType::kF8, 6, n_cols, scales.data()}});
      DeviceArray<uint8_t> dcodes(codes.size());
      DeviceArray<float> dscales(6);
      dcodes.fill_bytes(0xFF);
      dscales.fill_bytes(0xFF);
      const Matrix to{dcodes.data(), DType::kF8, 6, n_cols, dscales.data()};
      device().upload_rows(stream_, {rows_of(w.matrix(), 0, 4), rows_of(to, 0, 4)});
      device().upload_rows(stream_, {rows_of(w.matrix(), 4, 2), rows_of(to, 4, 2)});
      EXPECT_TRUE(same_bits(dscales.download(), scales)) << dtype_info(type).name << ' ' << n_cols;
      EXPECT_EQ(dcodes.download(), codes) << dtype_info(type).name << ' ' << n_cols;
    }
  }
}

TEST_F(CudaF8, FillsWithTheReferencesRandomNumbers) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{70, 576}, {2, 9'000'000}}) {
    std::vector<uint8_t> codes(static_cast<size_t>(rows * cols));
    std::vector<float> scales(static_cast<size_t>(rows));
    const RandomArgs random{.seed = 9, .deviation = 0.02F};
    make_reference_device()->fill_random(
        stream_, {codes.data(), DType::kF8, rows, cols, scales.data()}, random);
    DeviceArray<uint8_t> dcodes(codes.size());
    DeviceArray<float> dscales(scales.size());
    device().fill_random(stream_, {dcodes.data(), DType::kF8, rows, cols, dscales.data()}, random);
    EXPECT_TRUE(same_bits(dscales.download(), scales)) << cols;
    EXPECT_EQ(dcodes.download(), codes) << cols;
  }
}

// Every number there is, subnormals too, by itself: exactly, with one row and with several.
TEST_F(CudaF8, EveryCodeMultipliesExactly) {
  constexpr int64_t kCols = 256, kRows = 4;
  std::vector<uint8_t> codes(kCols * kRows);
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(i + i / kCols * 37);
    if ((codes[i] & 127) == 127) codes[i] = 0x80;
  }
  const TwinF8 w(codes, {1, 0.5F, 3, 0x1p-20F}, kRows, kCols);
  for (const int64_t n_rows : {1, 8}) {
    for (int64_t at = 0; at < kCols; at += n_rows) {
      std::vector<float> x(static_cast<size_t>(n_rows * kCols));
      for (int64_t r = 0; r < n_rows; ++r) x[static_cast<size_t>(r * kCols + at + r)] = 1.25F;
      const std::vector<float> got =
          product(w, x, nullptr, std::vector<float>(static_cast<size_t>(n_rows * kRows)), false);
      for (int64_t r = 0; r < n_rows; ++r) {
        for (int64_t o = 0; o < kRows; ++o) {
          const auto code = codes[static_cast<size_t>(o * kCols + at + r)];
          ASSERT_EQ(got[static_cast<size_t>(r * kRows + o)],
                    reference::f8_to_float(code) * 1.25F * w.host_scales[static_cast<size_t>(o)])
              << static_cast<int>(code) << ", row " << r << " of " << n_rows;
        }
      }
    }
  }
}

TEST_F(CudaF8, FewRowsEqualTheReference) {
  for (const int64_t n_rows : {1, 2, 5, 8}) {
    for (const int64_t n_in : {16, 48, 256, 512, 576, 1024, 1536, 2048, 2064, 4096, 8208, 14'336,
                               16'400, 20'480, 28'672, 32'768, 7, 40}) {
      for (const int64_t n_out : {1, 3, 37, 192, 1500}) {
        if (n_out > 50 && (n_in > 5000 || n_rows == 5)) continue;  // the reference is slow
        if (n_out > 1000 && n_in != 576 && n_in != 4096) continue;
        if (n_out > 1000 && n_rows > 2) continue;
        const TwinF8 w(n_out, n_in, 7);
        const std::vector<float> x = random_floats(n_rows * n_in, 8),
                                 bias = random_floats(n_out, 9),
                                 before = random_floats(n_rows * n_out, 10);
        for (const bool accumulate : {false, true}) {
          const std::vector<float> got = product(w, x, &bias, before, accumulate);
          const std::vector<float> want =
              n_in % 16 == 0 ? wanted(w.on_host(), x, &bias, before, accumulate)
                             : wanted_expanded(w, x, false, &bias, before, accumulate);
          EXPECT_LT(distance(got, want), n_out <= 3 ? 2e-3 : 1e-5)
              << n_rows << " rows, " << n_out << " x " << n_in << (accumulate ? ", added" : "");
          EXPECT_TRUE(same_bits(got, product(w, x, &bias, before, accumulate)));
        }
      }
    }
  }
}

// x as large and as small as activations get.
TEST_F(CudaF8, FewRowsOfAnySize) {
  const TwinF8 w(64, 4096, 7);
  for (const int64_t n_rows : {1, 3}) {
    for (const float size : {1e12F, 1e5F, 1e-5F, 1e-12F}) {
      const std::vector<float> x = random_floats(n_rows * 4096, 8, size);
      const std::vector<float> zeros(static_cast<size_t>(n_rows * 64));
      EXPECT_LT(distance(product(w, x, nullptr, zeros, false),
                         wanted(w.on_host(), x, nullptr, zeros, false)),
                2e-5)
          << size;
    }
  }
}

TEST_F(CudaF8, ManyRowsEqualTheReference) {
  for (const int64_t n_rows : {9, 33, 200}) {
    for (const int64_t n_out : {3, 100, 208}) {
      for (const int64_t n_in : {7, 8, 40, 48, 576, 2064, 14'400}) {
        if (n_in > 600 && (n_rows > 9 || (n_in > 5000 && n_out != 208))) continue;
        const TwinF8 w(n_out, n_in, 7);
        const std::vector<float> x = random_floats(n_rows * n_in, 8),
                                 bias = random_floats(n_out, 9),
                                 before = random_floats(n_rows * n_out, 10);
        for (const bool accumulate : {false, true}) {
          for (const std::vector<float>* b :
               {&bias, static_cast<const std::vector<float>*>(nullptr)}) {
            const std::vector<float> got = product(w, x, b, before, accumulate);
            const double direct = distance(
                             got, wanted(w.on_host(), through_f8(x, n_in), b, before, accumulate)),
                         expanded =
                             distance(got, wanted_expanded(w, x, true, b, before, accumulate)),
                         general =
                             distance(got, wanted_expanded(w, x, false, b, before, accumulate));
            EXPECT_TRUE(direct < 1e-3 || expanded < 2e-5 || general < 2e-5)
                << direct << ", expanded " << expanded << " or " << general << "; " << n_rows
                << " rows, " << n_out << " x " << n_in << (accumulate ? ", added" : "")
                << (b != nullptr ? ", bias" : "");
            EXPECT_TRUE(same_bits(got, product(w, x, b, before, accumulate)));
          }
        }
      }
    }
  }
}

TEST_F(CudaF8, ARowDoesNotDependOnTheOthers) {
  constexpr int64_t kRows = 600, kOut = 320;
  for (const int64_t n_in : {576, 4096}) {
    const TwinF8 w(kOut, n_in, 1);
    const std::vector<float> x = random_floats(kRows * n_in, 2),
                             before = random_floats(kRows * kOut, 3);
    for (const bool accumulate : {false, true}) {
      const auto rows = [&](int64_t begin, int64_t n) {
        return product(w, {x.begin() + begin * n_in, x.begin() + (begin + n) * n_in}, nullptr,
                       {before.begin() + begin * kOut, before.begin() + (begin + n) * kOut},
                       accumulate);
      };
      const auto expect_same = [&](int64_t n_all, std::initializer_list<int64_t> numbers) {
        const std::vector<float> all = rows(0, n_all);
        for (const int64_t n : numbers) {
          const int64_t begin = std::min<int64_t>(5, n_all - n);
          const std::vector<float> part = rows(begin, n);
          EXPECT_EQ(std::memcmp(part.data(), all.data() + begin * kOut, part.size() * 4), 0)
              << n << " of " << n_all << " rows, n_in " << n_in;
        }
      };
      expect_same(8, {2, 3, 4, 5, 7});
      expect_same(64, {9, 16, 17, 40, 63});
      expect_same(kRows, {65, 100, 128, 200, 256, 400, 512, 513});
    }
  }
}

TEST_F(CudaF8, MatmulAtAnyAddress) {
  constexpr int64_t kIn = 64, kOut = 48;
  const TwinF8 w(kOut, kIn, 1);
  for (const int64_t n_rows : {1, 20}) {
    const std::vector<float> x = random_floats(n_rows * kIn + 1, 2);
    const DeviceArray<float> dx(x);
    DeviceArray<float> out(static_cast<size_t>(n_rows * kOut + 1));
    out.fill_bytes(0xFF);
    device().matmul(stream_,
                    {dx.data() + 1, n_rows, w.on_device(), nullptr, out.data() + 1, false});
    const std::vector<float> all = out.download();
    EXPECT_TRUE(std::isnan(all[0]));
    const std::vector<float> got(all.begin() + 1, all.end()), at_one(x.begin() + 1, x.end());
    EXPECT_LT(distance(got, wanted_expanded(w, at_one, false, nullptr,
                                            std::vector<float>(got.size()), false)),
              2e-5);
  }
}

struct Shape {
  int64_t n_embd, n_q, n_kv, n_ff;
};

class CudaF8Fused : public CudaTest {
 protected:
  // Beyond a few rows x is F8 in each product: 2 to 3 of 100.
  static double tolerance(int64_t n_rows) { return n_rows <= kFewRows ? 1e-5 : 0.06; }
  const std::vector<Shape> shapes_{{576, 576, 192, 1536}, {256, 192, 64, 112}, {4096, 64, 32, 48},
                                   {64, 32, 16, 1040},    {64, 20, 12, 64},    {60, 20, 12, 36}};
  cuda::OwnContext& own() {
    static cuda::OwnContext context;
    return context;
  }
};

TEST_F(CudaF8Fused, QkvEqualsTheReference) {
  for (const Shape& s : shapes_) {
    const TwinF8 q(s.n_q, s.n_embd, 1), k(s.n_kv, s.n_embd, 2), v(s.n_kv, s.n_embd, 3);
    const std::vector<float> norm = random_floats(s.n_embd, 4);
    for (const int64_t n_rows : {1, 3, 8, 9, 70}) {
      for (const bool with_bias : {false, true}) {
        const std::vector<float> x = random_floats(n_rows * s.n_embd, 5, 20.0F);
        const std::vector<float> q_bias = random_floats(s.n_q, 6),
                                 kv_bias = random_floats(s.n_kv, 7);
        const DeviceArray<float> dx(x), dnorm(norm), dq_bias(q_bias), dkv_bias(kv_bias);
        DeviceArray<float> normed(x.size()), q_out(static_cast<size_t>(n_rows * s.n_q)),
            k_out(static_cast<size_t>(n_rows * s.n_kv)),
            v_out(static_cast<size_t>(n_rows * s.n_kv));
        for (DeviceArray<float>* a : {&normed, &q_out, &k_out, &v_out}) a->fill_bytes(0xFF);
        cuda::OwnContext::synchronize();
        cuda::qkv(own().get(),
                  {dx.data(), n_rows, s.n_embd, dnorm.data(), 1e-5F, q.on_device(), k.on_device(),
                   v.on_device(), with_bias ? dq_bias.data() : nullptr,
                   with_bias ? dkv_bias.data() : nullptr, with_bias ? dkv_bias.data() : nullptr,
                   normed.data(), q_out.data(), k_out.data(), v_out.data()});
        cuda::OwnContext::synchronize();
        std::vector<float> want_normed(x.size());
        reference::rms_norm({x.data(), norm.data(), n_rows, s.n_embd, 1e-5F, want_normed.data()});
        const std::tuple<const TwinF8*, DeviceArray<float>*, const std::vector<float>*> products[] =
            {{&q, &q_out, &q_bias}, {&k, &k_out, &kv_bias}, {&v, &v_out, &kv_bias}};
        for (const auto& [w, out, bias] : products) {
          std::vector<float> want(out->size());
          reference::matmul({want_normed.data(), n_rows, w->on_host(),
                             with_bias ? bias->data() : nullptr, want.data(), false});
          EXPECT_LT(distance(out->download(), want), s.n_embd % 16 == 0 ? tolerance(n_rows) : 0.01)
              << n_rows << " rows, n_embd " << s.n_embd << ", " << w->n_rows;
        }
      }
    }
  }
}

TEST_F(CudaF8Fused, MlpEqualsTheReference) {
  for (const Shape& s : shapes_) {
    const TwinF8 gate(s.n_ff, s.n_embd, 1), up(s.n_ff, s.n_embd, 2), down(s.n_embd, s.n_ff, 3);
    const std::vector<float> norm = random_floats(s.n_embd, 4);
    for (const int64_t n_rows : {1, 3, 8, 9, 70}) {
      const std::vector<float> x = random_floats(n_rows * s.n_embd, 5, 0.01F);
      const DeviceArray<float> dnorm(norm);
      DeviceArray<float> dx(x.size()), normed(x.size()),
          gate_out(static_cast<size_t>(n_rows * s.n_ff)),
          up_out(static_cast<size_t>(n_rows * s.n_ff));
      const auto run = [&] {
        dx.upload(x);
        for (DeviceArray<float>* a : {&normed, &gate_out, &up_out}) a->fill_bytes(0xFF);
        cuda::OwnContext::synchronize();
        cuda::mlp(own().get(), {dx.data(), n_rows, s.n_embd, s.n_ff, dnorm.data(), 1e-5F,
                                gate.on_device(), up.on_device(), down.on_device(), normed.data(),
                                gate_out.data(), up_out.data()});
        cuda::OwnContext::synchronize();
        return dx.download();
      };
      const std::vector<float> got = run();
      std::vector<float> want = x, want_normed(x.size()), g(gate_out.size()), u(g.size());
      reference::rms_norm({x.data(), norm.data(), n_rows, s.n_embd, 1e-5F, want_normed.data()});
      reference::matmul({want_normed.data(), n_rows, gate.on_host(), nullptr, g.data(), false});
      reference::matmul({want_normed.data(), n_rows, up.on_host(), nullptr, u.data(), false});
      reference::swiglu({g.data(), u.data(), static_cast<int64_t>(g.size()), g.data()});
      reference::matmul({g.data(), n_rows, down.on_host(), nullptr, want.data(), true});
      EXPECT_LT(distance(got, want), s.n_embd % 16 == 0 ? tolerance(n_rows) : 0.02)
          << n_rows << " rows, n_embd " << s.n_embd << ", n_ff " << s.n_ff;
      EXPECT_TRUE(same_bits(got, run()));
    }
  }
}

}  // namespace
}  // namespace reattn::kernels
