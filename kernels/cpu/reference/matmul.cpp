// Matrix product with packed weights, every sum in double.
#include <vector>

#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void matmul(const MatmulArgs& a) {
  const int64_t n_in = a.w.n_cols, n_out = a.w.n_rows;
  std::vector<float> weights(static_cast<size_t>(n_in));
  for (int64_t o = 0; o < n_out; ++o) {
    dequantize_row(a.w, o, weights.data());
    for (int64_t r = 0; r < a.n_rows; ++r) {
      double sum = a.bias == nullptr ? 0.0 : a.bias[o];
      for (int64_t i = 0; i < n_in; ++i) {
        sum += static_cast<double>(a.x[r * n_in + i]) * weights[static_cast<size_t>(i)];
      }
      float& out = a.out[r * n_out + o];
      out = static_cast<float>(a.accumulate ? out + sum : sum);
    }
  }
}

}  // namespace reattn::kernels::reference
