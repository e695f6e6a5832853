// Appends keys and values to their pages, converting to half precision where the pages hold that.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attend/kv_append.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/check.hpp"
#include "kernels/cpu/reference/half.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

void demote(const float* HWY_RESTRICT from, int64_t n, uint16_t* HWY_RESTRICT to) {
  int64_t i = 0;
#if HWY_TARGET <= HWY_AVX2  // elsewhere Highway's conversion truncates
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> half;
  constexpr auto kStep = static_cast<int64_t>(HWY_LANES(float));
  for (; i + kStep <= n; i += kStep) {
    hn::StoreU(hn::DemoteTo(half, hn::LoadU(d, from + i)), half,
               reinterpret_cast<hwy::float16_t*>(to + i));
  }
#endif
  for (; i < n; ++i) to[i] = reference::float_to_half(from[i]);
}

}  // namespace
}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>

namespace reattn::kernels::cpu {

HWY_EXPORT(demote);

void kv_append(const Context& c, const KvAppendArgs& a) {
  reference::check(a);
  reference::check_host_pages("kv_append", a.pages);
  constexpr int64_t kTaskTokens = 64;
  const KvPages& p = a.pages;
  const auto append = [&](const float* from, void* const* table, int64_t t) {
    for (int32_t head = 0; head < p.n_kv_heads; ++head, from += p.head_dim) {
      void* page = table[t / kPageTokens];
      const int64_t at = reference::row_offset(p, head, t);
      if (p.dtype == DType::kF32) {
        std::copy_n(from, p.head_dim, static_cast<float*>(page) + at);
      } else {
        HWY_DYNAMIC_DISPATCH(demote)(from, p.head_dim, static_cast<uint16_t*>(page) + at);
      }
    }
  };
  c.pool.run((a.n_new + kTaskTokens - 1) / kTaskTokens, c.cancel, [&](int64_t task) {
    for (int64_t i = task * kTaskTokens; i < std::min((task + 1) * kTaskTokens, a.n_new); ++i) {
      const int64_t row = i * p.n_kv_heads * p.head_dim;
      append(a.k + row, p.k, a.begin + i);
      append(a.v + row, p.v, a.begin + i);
    }
  });
}

}  // namespace reattn::kernels::cpu
#endif
