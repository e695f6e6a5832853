// Int8 keys and values of complete blocks, as the reference makes them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/select/quantize_keys.cpp"
#define HWY_DISABLED_TARGETS HWY_SSSE3
#include "hwy/foreach_target.h"
#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/check.hpp"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/select/words-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void quantize_rows(const T* from, int64_t n, float& scale, int8_t* to) {
  scale = reference::int8_scale(greatest_magnitude(from, n));
  to_int8_run(from, n, scale, to);
}

// The rows of a block lie one behind the other: in one page, of one head.
void quantize_block(const KvPages& p, void* const* from, void* const* to, int32_t head,
                    int64_t block) {
  const int64_t at = reference::row_offset(p, head, block), n = kScaleBlock * p.head_dim;
  const void* page = from[block / kPageTokens];
  float& scale = reference::int8_scale_of(p, to, head, block);
  int8_t* out = reference::int8_page(to, block) + at;
  if (p.dtype == DType::kF16) {
    quantize_rows(static_cast<const hwy::float16_t*>(page) + at, n, scale, out);
  } else {
    quantize_rows(static_cast<const float*>(page) + at, n, scale, out);
  }
}

}  // namespace
}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(quantize_block);

void quantize_keys(const Context& c, const QuantizeKeysArgs& a) {
  reference::check(a);
  reference::check_host_pages("quantize_keys", a.pages);
  const KvPages& p = a.pages;
  c.pool.run((a.end - a.begin) / kScaleBlock * p.n_kv_heads, c.cancel, [&](int64_t task) {
    const auto head = static_cast<int32_t>(task % p.n_kv_heads);
    const int64_t block = a.begin + task / p.n_kv_heads * kScaleBlock;
    HWY_DYNAMIC_DISPATCH(quantize_block)(p, p.k, p.k8, head, block);
    if (p.v8 != nullptr) HWY_DYNAMIC_DISPATCH(quantize_block)(p, p.v, p.v8, head, block);
  });
}

}  // namespace reattn::kernels::cpu
#endif
