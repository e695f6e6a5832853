// Reference append: element by element into the pages.
#include "kernels/cpu/reference/check.hpp"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {
namespace {

void write(const KvAppendArgs& a, const float* from, void* const* table) {
  const KvPages& p = a.pages;
  for (int64_t i = 0; i < a.n_new; ++i) {
    const int64_t t = a.begin + i;
    for (int32_t head = 0; head < p.n_kv_heads; ++head) {
      const float* row = from + (i * p.n_kv_heads + head) * p.head_dim;
      for (int32_t j = 0; j < p.head_dim; ++j) set_page_element(p, table, head, t, j, row[j]);
    }
  }
}

}  // namespace

void kv_append(const KvAppendArgs& a) {
  check(a);
  write(a, a.k, a.pages.k);
  write(a, a.v, a.pages.v);
}

}  // namespace reattn::kernels::reference
