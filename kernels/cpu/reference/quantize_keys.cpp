// Reference int8 keys: block by block, the largest first.
#include "kernels/cpu/reference/check.hpp"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/int8.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void quantize_keys(const QuantizeKeysArgs& a) {
  check(a);
  const KvPages& p = a.pages;
  for (int64_t block = a.begin; block < a.end; block += kScaleBlock) {
    for (int32_t head = 0; head < p.n_kv_heads; ++head) {
      float most = 0;
      for (int64_t t = block; t < block + kScaleBlock; ++t) {
        for (int32_t i = 0; i < p.head_dim; ++i) {
          most = std::fmax(most, std::fabs(page_element(p, p.k, head, t, i)));
        }
      }
      const float scale = int8_scale(most);
      int8_scale_of(p, head, block) = scale;
      for (int64_t t = block; t < block + kScaleBlock; ++t) {
        int8_t* row = int8_page(p, t) + row_offset(p, head, t);
        for (int32_t i = 0; i < p.head_dim; ++i) {
          row[i] = to_int8(page_element(p, p.k, head, t, i), scale);
        }
      }
    }
  }
}

}  // namespace reattn::kernels::reference
