// The dense layers of the CUDA device against the reference: odd shapes, every element type, the
// same bits whatever the number of rows beside.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cpu/reference/reference.hpp"
#include "kernels/cuda/linear/expand_blocks.hpp"
#include "kernels/cuda/ops.hpp"
#include "tests/kernels/cuda_context.hpp"
#include "tests/kernels/cuda_fixture.hpp"
#include "tests/kernels/random_matrix.hpp"

namespace reattn::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kFewRows =
    8;  // up to here x keeps 16 bits, beyond it is rounded to the weights' type

// A matrix in host memory and the same in device memory.
struct TwinMatrix {
  TwinMatrix(DType type, int64_t rows, int64_t cols, uint32_t seed)
      : host(type, rows, cols, seed), device(host.bytes) {}
  Matrix on_device() const { return {device.data(), host.dtype, host.n_rows, host.n_cols}; }
  RandomMatrix host;
  DeviceArray<uint8_t> device;
};

float rounded(float x, DType type) {
  if (type == DType::kBF16) return reference::bf16_to_float(reference::float_to_bf16(x));
  if (type == DType::kF16) return reference::half_to_float(reference::float_to_half(x));
  return x;
}
std::vector<float> rounded(std::vector<float> x, DType type) {
  for (float& v : x) v = rounded(v, type);
  return x;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

double distance(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - want[i], 2);
    size += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(error / size);
}

class CudaLinear : public CudaTest {
 protected:
  std::vector<float> product(const TwinMatrix& w, const std::vector<float>& x,
                             const std::vector<float>* bias, const std::vector<float>& before,
                             bool accumulate) {
    const int64_t n_rows = static_cast<int64_t>(x.size()) / w.host.n_cols;
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

  // Each rounding is of one term: the error is small against the sum of absolute terms.
  void expect_product(const TwinMatrix& w, const std::vector<float>& x,
                      const std::vector<float>* bias, const std::vector<float>& before,
                      bool accumulate, const std::vector<float>& got, double tolerance) {
    const int64_t n_in = w.host.n_cols, n_out = w.host.n_rows,
                  n_rows = static_cast<int64_t>(x.size()) / n_in;
    std::vector<float> want = before, weights(static_cast<size_t>(n_in));
    reference::matmul({x.data(), n_rows, w.host.matrix(), bias != nullptr ? bias->data() : nullptr,
                       want.data(), accumulate});
    for (int64_t o = 0; o < n_out; ++o) {
      reference::dequantize_row(w.host.matrix(), o, weights.data());
      for (int64_t r = 0; r < n_rows; ++r) {
        const auto at = static_cast<size_t>(r * n_out + o);
        double size = 1e-6 + std::fabs(want[at]);
        if (bias != nullptr) size += std::fabs((*bias)[static_cast<size_t>(o)]);
        if (accumulate) size += std::fabs(before[at]);
        for (int64_t i = 0; i < n_in; ++i) {
          size += std::fabs(x[static_cast<size_t>(r * n_in + i)] * weights[static_cast<size_t>(i)]);
        }
        ASSERT_NEAR(got[at], want[at], size * tolerance)
            << dtype_info(w.host.dtype).name << ", row " << r << " of " << n_rows << ", output "
            << o << " of " << n_out << ", n_in " << n_in << (accumulate ? ", accumulated" : "")
            << (bias != nullptr ? ", bias" : "");
      }
    }
  }
};

TEST_F(CudaLinear, MatmulEqualsTheReference) {
  for (const DType type : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const int64_t n_rows : {1, 2, 5, 8, 9, 16, 33, 200}) {
      for (const int64_t n_out : {1, 3, 100, 192}) {
        for (const int64_t n_in : {1, 7, 8, 40, 200, 576, 2056}) {
          if (n_rows > 16 && n_in > 600) continue;  // the reference is slow
          const TwinMatrix w(type, n_out, n_in, 7);
          std::vector<float> x = random_floats(n_rows * n_in, 8);
          const std::vector<float> bias = random_floats(n_out, 9),
                                   before = random_floats(n_rows * n_out, 10);
          for (const bool accumulate : {false, true}) {
            for (const bool with_bias : {false, true}) {
              const std::vector<float>* b = with_bias ? &bias : nullptr;
              const std::vector<float> got = product(w, x, b, before, accumulate);
              const int64_t per_load = type == DType::kF32 ? 4 : 8;
              const bool is_rounded = n_rows > kFewRows && n_in % per_load == 0 && n_out % 4 == 0;
              expect_product(w, is_rounded ? rounded(x, type) : x, b, before, accumulate, got,
                             1e-5);
              if (HasFatalFailure()) return;
              ASSERT_TRUE(same_bits(got, product(w, x, b, before, accumulate)));
            }
          }
        }
      }
    }
  }
}

TEST_F(CudaLinear, MatmulOfLongRows) {
  for (const int64_t n_rows : {1, 4, 512}) {
    const TwinMatrix w(DType::kBF16, n_rows == 512 ? 64 : 72, 14'336, 1);
    const std::vector<float> x = random_floats(n_rows * 14'336, 2);
    const std::vector<float> before(static_cast<size_t>(n_rows * w.host.n_rows));
    const std::vector<float> got = product(w, x, nullptr, before, false);
    std::vector<float> want = before;
    const std::vector<float> seen = n_rows > kFewRows ? rounded(x, DType::kBF16) : x;
    reference::matmul({seen.data(), n_rows, w.host.matrix(), nullptr, want.data(), false});
    EXPECT_LT(distance(got, want), 3e-5) << n_rows;
  }
}

// One row is multiplied in its own way, for each length in another form; many outputs to a block.
TEST_F(CudaLinear, OneRowOfAnyLength) {
  for (const int64_t n_in : {256, 504, 768, 1024, 1280, 1536, 1544, 2048, 2304, 3072, 4104, 8192,
                             9000, 12'288, 14'336, 16'384, 16'392}) {
    const TwinMatrix w(DType::kBF16, n_in == 2304 ? 12'001 : 37, n_in, 3);
    const std::vector<float> x = random_floats(n_in, 4), bias = random_floats(w.host.n_rows, 5);
    const std::vector<float> before = random_floats(w.host.n_rows, 6);
    for (const bool accumulate : {false, true}) {
      const std::vector<float> got = product(w, x, &bias, before, accumulate);
      expect_product(w, x, &bias, before, accumulate, got, 1e-5);
      if (HasFatalFailure()) return;
    }
  }
}

// The same bits however many rows are beside it: from 2 to 8, from 9 to 64, and beyond (of F32
// weights only in the first).
TEST_F(CudaLinear, ARowDoesNotDependOnTheOthers) {
  constexpr int64_t kRows = 600;
  for (const DType type : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const int64_t n_in : {576, 4096}) {
      constexpr int64_t kOut = 320;
      const TwinMatrix w(type, kOut, n_in, 1);
      const std::vector<float> x = random_floats(kRows * n_in, 2);
      const std::vector<float> before = random_floats(kRows * kOut, 3);
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
                << dtype_info(type).name << ", " << n << " of " << n_all << " rows, n_in " << n_in
                << (accumulate ? ", accumulated" : "");
          }
        };
        expect_same(8, {2, 3, 4, 5, 7});
        if (type == DType::kF32) continue;
        expect_same(64, {9, 16, 17, 40, 63});
        expect_same(kRows, {65, 100, 128, 200, 256, 400, 512, 513});
      }
    }
  }
}

TEST_F(CudaLinear, MatmulAtAnyAddress) {
  constexpr int64_t kRows = 20, kIn = 64, kOut = 48;
  const TwinMatrix w(DType::kBF16, kOut, kIn, 1);
  for (const int64_t n_rows : {int64_t{1}, kRows}) {
    const std::vector<float> x = random_floats(n_rows * kIn + 1, 2);
    const std::vector<float> at_one(x.begin() + 1, x.end());
    const DeviceArray<float> dx(x);
    DeviceArray<float> out(static_cast<size_t>(n_rows * kOut + 1));
    out.fill_bytes(0xFF);
    device().matmul(stream_,
                    {dx.data() + 1, n_rows, w.on_device(), nullptr, out.data() + 1, false});
    const std::vector<float> all = out.download();
    EXPECT_TRUE(std::isnan(all[0]));
    const std::vector<float> before(static_cast<size_t>(n_rows * kOut));
    expect_product(w, at_one, nullptr, before, false, {all.begin() + 1, all.end()}, 1e-5);
  }
}

TEST_F(CudaLinear, RefusesBlocksToMultiplyWith) {
  const TwinMatrix w(DType::kQ8_0, 8, 64, 1);
  const DeviceArray<float> x(64 * 16), out(8 * 16);
  for (const int64_t n_rows : {1, 16}) {
    EXPECT_THROW(
        device().matmul(stream_, {x.data(), n_rows, w.on_device(), nullptr, out.data(), false}),
        Error);
  }
}

TEST_F(CudaLinear, EmbedUnpacksExactly) {
  for (const DType type : kAllTypes) {
    if (!cuda::expands(type)) continue;  // the device holds no table so
    for (const int64_t n_cols : {32, 96, 576, 4096, 5}) {
      if (n_cols % dtype_info(type).block_elements != 0) continue;
      const TwinMatrix w(type, 40, n_cols, 4);
      const std::vector<int32_t> ids{39, 0, 17, 17, 3};
      const DeviceArray<int32_t> dids(ids);
      DeviceArray<float> out(static_cast<size_t>(5 * n_cols));
      out.fill_bytes(0xFF);
      device().embed(stream_, {w.on_device(), dids.data(), 5, out.data()});
      std::vector<float> want(out.size());
      reference::embed({w.host.matrix(), ids.data(), 5, want.data()});
      EXPECT_TRUE(same_bits(out.download(), want)) << dtype_info(type).name << ' ' << n_cols;
    }
  }
}

TEST_F(CudaLinear, GegluScaledEmbeddingsAndAddedNorms) {
  constexpr int64_t kRows = 9, kCols = 577;
  const std::vector<float> x = random_floats(kRows * kCols, 1, 3.0F),
                           weight = random_floats(kCols, 2),
                           before = random_floats(kRows * kCols, 3);
  const DeviceArray<float> dx(x), dweight(weight), dbefore(before);
  std::vector<float> want(before);
  DeviceArray<float> out(before);
  device().rms_norm(stream_, {dx.data(), dweight.data(), kRows, kCols, 1e-5F, out.data(), true});
  reference::rms_norm({x.data(), weight.data(), kRows, kCols, 1e-5F, want.data(), true});
  const auto expect_same = [&](float tolerance) {
    const std::vector<float> got = out.download();
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], tolerance) << i;
  };
  expect_same(1e-5F);
  device().geglu(stream_, {dx.data(), dbefore.data(), kRows * kCols, out.data()});
  reference::geglu({x.data(), before.data(), kRows * kCols, want.data()});
  expect_same(2e-5F);
  const TwinMatrix table(DType::kF16, 40, kCols, 4);
  const std::vector<int32_t> ids{39, 0, 17, 17, 3, 1, 2, 4, 5};
  const DeviceArray<int32_t> dids(ids);
  device().embed(stream_, {table.on_device(), dids.data(), kRows, out.data(), 2.5F});
  reference::embed({table.host.matrix(), ids.data(), kRows, want.data(), 2.5F});
  expect_same(0);
}

TEST_F(CudaLinear, UploadsEveryTypeRounded) {
  for (const DType type : kAllTypes) {
    const TwinMatrix w(type, 1, 8192, 4);
    DeviceArray<uint16_t> out(8192);
    out.fill_bytes(0x55);
    device().upload_weights(stream_, out.data(), w.host.bytes.data(), type, 8192);
    std::vector<float> want(8192);
    reference::dequantize_row(w.host.matrix(), 0, want.data());
    const std::vector<uint16_t> got = out.download();
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(got[i], reference::float_to_bf16(want[i])) << dtype_info(type).name << ' ' << i;
    }
  }
}

TEST_F(CudaLinear, ExpandsBlocksToRoundedFloats) {
  cuda::OwnContext own;
  cuda::Context& ctx = own.get();
  for (const DType type : kAllTypes) {
    if (!cuda::expands(type)) continue;
    for (const int64_t n : {32, 96, 4096, 70'016, 13}) {
      if (n % dtype_info(type).block_elements != 0) continue;
      TwinMatrix w(type, 1, n, 4);
      if (type != DType::kF32 && type != DType::kBF16) {
        w.host.set_scale(0, 0x0001);              // the smallest subnormal
        if (n > 32) w.host.set_scale(1, 0x7c00);  // infinity
        if (n > 64) w.host.set_scale(2, 0x7e00);  // NaN
        w.device.upload(w.host.bytes);
      }
      DeviceArray<uint16_t> out(static_cast<size_t>(n));
      out.fill_bytes(0x55);
      cuda::OwnContext::synchronize();
      cuda::expand_to_bf16(ctx, type, w.device.data(), n, out.data());
      cuda::OwnContext::synchronize();
      std::vector<float> want(static_cast<size_t>(n));
      reference::dequantize_row(w.host.matrix(), 0, want.data());
      const std::vector<uint16_t> got = out.download();
      for (size_t i = 0; i < want.size(); ++i) {
        if (std::isnan(want[i])) {
          ASSERT_TRUE(std::isnan(reference::bf16_to_float(got[i]))) << i;
        } else {
          ASSERT_EQ(got[i], reference::float_to_bf16(want[i]))
              << dtype_info(type).name << ' ' << i << " of " << n;
        }
      }
    }
  }
}

TEST_F(CudaLinear, RmsNormEqualsTheReference) {
  for (const int64_t n_rows : {1, 3, 100}) {
    for (const int64_t n_cols : {1, 7, 64, 576, 2048, 4096, 4099, 8192, 20'000}) {
      std::vector<float> x = random_floats(n_rows * n_cols, 1, 30.0F);
      x[0] = 1e25F;  // its square is beyond a float
      const std::vector<float> weight = random_floats(n_cols, 2);
      const DeviceArray<float> dx(x), dweight(weight);
      DeviceArray<float> out(x.size());
      out.fill_bytes(0xFF);
      device().rms_norm(stream_, {dx.data(), dweight.data(), n_rows, n_cols, 1e-5F, out.data()});
      const std::vector<float> got = out.download();
      std::vector<float> want(x.size());
      reference::rms_norm({x.data(), weight.data(), n_rows, n_cols, 1e-5F, want.data()});
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(got[i], want[i], 5e-7F * std::fabs(want[i]) + 1e-30F) << i << " of " << n_cols;
      }
      device().rms_norm(stream_, {dx.data(), dweight.data(), n_rows, n_cols, 1e-5F, dx.data()});
      EXPECT_TRUE(same_bits(dx.download(), got)) << "in place";
    }
  }
}

TEST_F(CudaLinear, SwigluEqualsTheReference) {
  for (const int64_t n : {1, 7, 16, 1536, 40'001}) {
    std::vector<float> gate = random_floats(n, 1, 6.0F);
    const std::vector<float> up = random_floats(n, 2);
    if (n > 16) {
      const float extremes[] = {0.0F, -0.0F, 87.0F, -87.0F, 1e30F, -1e30F, kInf, -200.0F, NAN};
      std::copy(std::begin(extremes), std::end(extremes), gate.begin());
    }
    const DeviceArray<float> dgate(gate), dup(up);
    DeviceArray<float> out(gate.size());
    out.fill_bytes(0xFF);
    device().swiglu(stream_, {dgate.data(), dup.data(), n, out.data()});
    const std::vector<float> got = out.download();
    std::vector<float> want(gate.size());
    reference::swiglu({gate.data(), up.data(), n, want.data()});
    for (size_t i = 0; i < got.size(); ++i) {
      if (std::isnan(want[i])) {
        ASSERT_TRUE(std::isnan(got[i])) << gate[i];
      } else if (std::isinf(want[i])) {
        ASSERT_EQ(got[i], want[i]) << gate[i];
      } else {
        ASSERT_NEAR(got[i], want[i], 1e-6F * std::fabs(want[i]) + 1e-7F) << gate[i];
      }
    }
    device().swiglu(stream_, {dgate.data(), dup.data(), n, dgate.data()});
    EXPECT_TRUE(same_bits(dgate.download(), got)) << "in place";
  }
}

struct Shape {
  int64_t n_embd, n_q, n_kv, n_ff;
};

class CudaFused : public CudaTest {
 protected:
  // Beyond a few rows what passes between the products is BF16.
  static double tolerance(int64_t n_rows) { return n_rows <= kFewRows ? 1e-5 : 1e-2; }
  const std::vector<Shape> shapes_{{576, 576, 192, 1536},
                                   {256, 192, 64, 104},
                                   {2056, 64, 24, 40},
                                   {60, 20, 12, 36},
                                   {2304, 1500, 1100, 3008}};
  // The reference is slow.
  static bool skips(const Shape& s, int64_t n_rows) { return s.n_ff > 3000 && n_rows != 1; }
};

TEST_F(CudaFused, QkvEqualsTheReference) {
  cuda::OwnContext own;
  cuda::Context& ctx = own.get();
  for (const Shape& s : shapes_) {
    const TwinMatrix q(DType::kBF16, s.n_q, s.n_embd, 1), k(DType::kBF16, s.n_kv, s.n_embd, 2),
        v(DType::kBF16, s.n_kv, s.n_embd, 3);
    const std::vector<float> norm = random_floats(s.n_embd, 4);
    for (const int64_t n_rows : {1, 3, 8, 9, 70}) {
      if (skips(s, n_rows)) continue;
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
        cuda::qkv(ctx,
                  {dx.data(), n_rows, s.n_embd, dnorm.data(), 1e-5F, q.on_device(), k.on_device(),
                   v.on_device(), with_bias ? dq_bias.data() : nullptr,
                   with_bias ? dkv_bias.data() : nullptr, with_bias ? dkv_bias.data() : nullptr,
                   normed.data(), q_out.data(), k_out.data(), v_out.data()});
        cuda::OwnContext::synchronize();
        std::vector<float> want_normed(x.size());
        reference::rms_norm({x.data(), norm.data(), n_rows, s.n_embd, 1e-5F, want_normed.data()});
        const std::tuple<const TwinMatrix*, DeviceArray<float>*, const std::vector<float>*>
            products[] = {{&q, &q_out, &q_bias}, {&k, &k_out, &kv_bias}, {&v, &v_out, &kv_bias}};
        for (const auto& [w, out, bias] : products) {
          std::vector<float> want(out->size());
          reference::matmul({want_normed.data(), n_rows, w->host.matrix(),
                             with_bias ? bias->data() : nullptr, want.data(), false});
          EXPECT_LT(distance(out->download(), want), tolerance(n_rows))
              << n_rows << " rows, n_embd " << s.n_embd
              << (w == &q   ? ", q"
                  : w == &k ? ", k"
                            : ", v");
        }
      }
    }
  }
}

TEST_F(CudaFused, MlpEqualsTheReference) {
  cuda::OwnContext own;
  cuda::Context& ctx = own.get();
  for (const Shape& s : shapes_) {
    const TwinMatrix gate(DType::kBF16, s.n_ff, s.n_embd, 1), up(DType::kBF16, s.n_ff, s.n_embd, 2),
        down(DType::kBF16, s.n_embd, s.n_ff, 3);
    const std::vector<float> norm = random_floats(s.n_embd, 4);
    for (const int64_t n_rows : {1, 3, 8, 9, 70}) {
      if (skips(s, n_rows)) continue;
      const std::vector<float> x = random_floats(n_rows * s.n_embd, 5, 0.01F);
      const DeviceArray<float> dnorm(norm);
      DeviceArray<float> dx(x.size()), normed(x.size()),
          gate_out(static_cast<size_t>(n_rows * s.n_ff)),
          up_out(static_cast<size_t>(n_rows * s.n_ff));
      const auto run = [&] {
        dx.upload(x);
        for (DeviceArray<float>* a : {&normed, &gate_out, &up_out}) a->fill_bytes(0xFF);
        cuda::OwnContext::synchronize();
        cuda::mlp(
            ctx, {dx.data(), n_rows, s.n_embd, s.n_ff, dnorm.data(), 1e-5F, gate.on_device(),
                  up.on_device(), down.on_device(), normed.data(), gate_out.data(), up_out.data()});
        cuda::OwnContext::synchronize();
        return dx.download();
      };
      const std::vector<float> got = run();
      std::vector<float> want = x, want_normed(x.size()), g(gate_out.size()), u(g.size());
      reference::rms_norm({x.data(), norm.data(), n_rows, s.n_embd, 1e-5F, want_normed.data()});
      reference::matmul({want_normed.data(), n_rows, gate.host.matrix(), nullptr, g.data(), false});
      reference::matmul({want_normed.data(), n_rows, up.host.matrix(), nullptr, u.data(), false});
      reference::swiglu({g.data(), u.data(), static_cast<int64_t>(g.size()), g.data()});
      reference::matmul({g.data(), n_rows, down.host.matrix(), nullptr, want.data(), true});
      EXPECT_LT(distance(got, want), tolerance(n_rows))
          << n_rows << " rows, n_embd " << s.n_embd << ", n_ff " << s.n_ff;
      EXPECT_TRUE(same_bits(got, run()));
    }
  }
}

TEST(CudaLt, SaysWhatIsMissing) {
  cuda::Lt lt;
  try {
    lt.require();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kNoDevice) {
      EXPECT_NE(std::string(e.what()).find("libcublasLt"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace reattn::kernels
