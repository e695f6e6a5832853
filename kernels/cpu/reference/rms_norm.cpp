// RMSNorm, the mean of squares in double.
#include <cmath>

#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void rms_norm(const RmsNormArgs& a) {
  for (int64_t r = 0; r < a.n_rows; ++r) {
    const float* x = a.x + r * a.n_cols;
    double squares = 0;
    for (int64_t i = 0; i < a.n_cols; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double root = std::sqrt(squares / static_cast<double>(a.n_cols) + a.eps);
    for (int64_t i = 0; i < a.n_cols; ++i) {
      float& out = a.out[r * a.n_cols + i];
      const float normed = static_cast<float>(x[i] / root) * a.weight[i];
      out = a.accumulate ? out + normed : normed;
    }
  }
}

}  // namespace reattn::kernels::reference
