// Reference F8 rows.
#include <vector>

#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cpu/reference/f8.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void quantize_rows(const QuantizeRowsArgs& a) {
  auto* data = static_cast<uint8_t*>(const_cast<void*>(a.to.data));
  auto* scales = const_cast<float*>(a.to.scales);
  std::vector<float> row(static_cast<size_t>(a.from.n_cols));
  for (int64_t r = 0; r < a.from.n_rows; ++r) {
    dequantize_row(a.from, r, row.data());
    scales[r] = quantize_row(row.data(), a.from.n_cols, data + r * a.from.n_cols);
  }
}

}  // namespace reattn::kernels::reference
