// Reference int8 keys and values: block by block, the largest first. And back.
#include "kernels/cpu/reference/check.hpp"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/int8.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {
namespace {

void quantize_block(const KvPages& p, void* const* from, void* const* to, int32_t head,
                    int64_t block) {
  float most = 0;
  for (int64_t t = block; t < block + kScaleBlock; ++t) {
    for (int32_t i = 0; i < p.head_dim; ++i) {
      most = std::fmax(most, std::fabs(page_element(p, from, head, t, i)));
    }
  }
  const float scale = int8_scale(most);
  int8_scale_of(p, to, head, block) = scale;
  for (int64_t t = block; t < block + kScaleBlock; ++t) {
    int8_t* row = int8_page(to, t) + row_offset(p, head, t);
    for (int32_t i = 0; i < p.head_dim; ++i) {
      row[i] = to_int8(page_element(p, from, head, t, i), scale);
    }
  }
}

}  // namespace

void quantize_keys(const QuantizeKeysArgs& a) {
  check(a);
  for (int64_t block = a.begin; block < a.end; block += kScaleBlock) {
    for (int32_t head = 0; head < a.pages.n_kv_heads; ++head) {
      quantize_block(a.pages, a.pages.k, a.pages.k8, head, block);
      if (a.pages.v8 != nullptr) quantize_block(a.pages, a.pages.v, a.pages.v8, head, block);
    }
  }
}

void restore_rows(const RestoreRowsArgs& a) {
  check(a);
  const KvPages& p = a.pages;
  for (int64_t t = a.begin; t < a.end; ++t) {
    for (int32_t head = 0; head < p.n_kv_heads; ++head) {
      for (int32_t i = 0; i < p.head_dim; ++i) {
        set_page_element(p, p.k, head, t, i, int8_element(p, p.k8, head, t, i));
        set_page_element(p, p.v, head, t, i, int8_element(p, p.v8, head, t, i));
      }
    }
  }
}

}  // namespace reattn::kernels::reference
