// RMSNorm of a row, SwiGLU and GeGLU, and the passes over logits, compiled for each vector instruction set.
#include "kernels/cpu/linear/elementwise.hpp"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear/elementwise.cpp"
#include "hwy/foreach_target.h"
// after foreach_target
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using DoubleTag = hn::ScalableTag<double>;
using HalfTag = hn::Rebind<float, DoubleTag>;  // as many floats as one vector of doubles
using FloatVec = hn::Vec<FloatTag>;

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

double sum_squares(const float* x, size_t n) {
  const DoubleTag dd;
  const HalfTag dh;
  const size_t lanes = hn::Lanes(dd);
  auto sum0 = hn::Zero(dd), sum1 = hn::Zero(dd);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const auto a = hn::PromoteTo(dd, hn::LoadU(dh, x + i));
    const auto b = hn::PromoteTo(dd, hn::LoadU(dh, x + i + lanes));
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  double sum = hn::GetLane(hn::SumOfLanes(dd, hn::Add(sum0, sum1)));
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

void rms_norm_row_here(const float* x, const float* weight, int64_t n_cols, float eps, float* out) {
  const FloatTag d;
  const auto n = static_cast<size_t>(n_cols);
  const double mean = sum_squares(x, n) / static_cast<double>(n);
  const auto scale = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(eps)));
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), hn::Set(d, scale));
    hn::StoreU(hn::Mul(scaled, hn::LoadU(d, weight + i)), d, out + i);
  }
  for (; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

// gate / (1 + exp(power)) * up
FloatVec gated(FloatVec gate, FloatVec power, FloatVec up) {
  const FloatTag d;
  // Exp is exact enough up to 88; beyond, the quotient is zero to within the smallest floats either
  // way.
  const auto e = hn::Exp(d, hn::Min(power, hn::Set(d, 88.0F)));
  return hn::Mul(hn::Div(gate, hn::Add(e, hn::Set(d, 1.0F))), up);
}

struct Silu {
  static FloatVec times(FloatVec gate, FloatVec up) { return gated(gate, hn::Neg(gate), up); }
};

struct Gelu {
  static FloatVec times(FloatVec gate, FloatVec up) {
    const FloatTag d;
    const auto cubic = hn::Mul(hn::Set(d, 0.044715F), hn::Mul(gate, hn::Mul(gate, gate)));
    const auto power = hn::Mul(hn::Set(d, -1.5957691216F), hn::Add(gate, cubic));
    return gated(gate, power, up);
  }
};

template <class Activation>
void glu_range(const float* gate, const float* up, int64_t n_elements, float* out) {
  const FloatTag d;
  const auto n = static_cast<size_t>(n_elements);
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(Activation::times(hn::LoadU(d, gate + i), hn::LoadU(d, up + i)), d, out + i);
  }
  if (i < n) {
    HWY_ALIGN float tail[3][HWY_MAX_BYTES / sizeof(float)] = {};
    for (size_t t = i; t < n; ++t) {
      tail[0][t - i] = gate[t];
      tail[1][t - i] = up[t];
    }
    hn::Store(Activation::times(hn::Load(d, tail[0]), hn::Load(d, tail[1])), d, tail[2]);
    for (size_t t = i; t < n; ++t) out[t] = tail[2][t - i];
  }
}

void swiglu_range_here(const float* gate, const float* up, int64_t n, float* out) {
  glu_range<Silu>(gate, up, n, out);
}

void geglu_range_here(const float* gate, const float* up, int64_t n, float* out) {
  glu_range<Gelu>(gate, up, n, out);
}

float max_value_here(const float* x, int64_t n_elements) {
  const FloatTag d;
  const auto n = static_cast<size_t>(n_elements);
  const size_t lanes = hn::Lanes(d);
  auto max = hn::Set(d, kMinusInfinity);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    max = hn::IfThenElse(hn::Gt(v, max), v, max);  // NaN is greater than nothing
  }
  float best = hn::GetLane(hn::MaxOfLanes(d, max));
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

// exp((x − max) · scale); 0 for NaN, 1 where x is max (also when both are infinite).
FloatVec weight_of(FloatVec x, FloatVec max, FloatVec scale) {
  const FloatTag d;
  const auto power = hn::Mul(hn::Sub(x, max), scale);
  const auto below = hn::Lt(power, hn::Zero(d));  // false for NaN
  // Beneath −104 the exponential is 0; minus infinity must not reach Exp.
  const auto e = hn::Exp(d, hn::Max(hn::IfThenElseZero(below, power), hn::Set(d, -110.0F)));
  return hn::IfThenElse(hn::Eq(x, max), hn::Set(d, 1.0F), hn::IfThenElseZero(hn::Lt(x, max), e));
}

double sum_exp_here(const float* x, int64_t n_elements, float max_x, float inverse_temperature) {
  const FloatTag d;
  const DoubleTag dd;
  const HalfTag dh;
  const auto n = static_cast<size_t>(n_elements);
  const size_t lanes = hn::Lanes(d), half = hn::Lanes(dd);
  const auto max = hn::Set(d, max_x), scale = hn::Set(d, inverse_temperature);
  auto sum0 = hn::Zero(dd), sum1 = hn::Zero(dd);
  HWY_ALIGN float weights[HWY_MAX_BYTES / sizeof(float)];
  const auto add = [&](FloatVec v) HWY_ATTR {
    hn::Store(weight_of(v, max, scale), d, weights);
    sum0 = hn::Add(sum0, hn::PromoteTo(dd, hn::Load(dh, weights)));
    sum1 = hn::Add(sum1, hn::PromoteTo(dd, hn::LoadU(dh, weights + half)));
  };
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) add(hn::LoadU(d, x + i));
  if (i < n) {
    HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)];
    for (size_t t = 0; t < lanes; ++t) {
      tail[t] = i + t < n ? x[i + t] : std::numeric_limits<float>::quiet_NaN();
    }
    add(hn::Load(d, tail));
  }
  return hn::GetLane(hn::SumOfLanes(dd, hn::Add(sum0, sum1)));
}

const char* vector_instructions_here() {
  return hwy::TargetName(HWY_TARGET);
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(rms_norm_row_here);
HWY_EXPORT(swiglu_range_here);
HWY_EXPORT(geglu_range_here);
HWY_EXPORT(max_value_here);
HWY_EXPORT(sum_exp_here);
HWY_EXPORT(vector_instructions_here);

void rms_norm_row(const float* x, const float* weight, int64_t n, float eps, float* out) {
  HWY_DYNAMIC_DISPATCH(rms_norm_row_here)(x, weight, n, eps, out);
}

void swiglu_range(const float* gate, const float* up, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(swiglu_range_here)(gate, up, n, out);
}

void geglu_range(const float* gate, const float* up, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(geglu_range_here)(gate, up, n, out);
}

float max_value(const float* x, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(max_value_here)(x, n);
}

double sum_exp(const float* x, int64_t n, float max, float inverse_temperature) {
  return HWY_DYNAMIC_DISPATCH(sum_exp_here)(x, n, max, inverse_temperature);
}

const char* vector_instructions() {
  return HWY_DYNAMIC_DISPATCH(vector_instructions_here)();
}

}  // namespace reattn::kernels::cpu
#endif
