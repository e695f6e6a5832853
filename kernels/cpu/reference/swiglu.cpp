// silu(gate) · up and gelu(gate) · up in double.
#include <cmath>
#include <numbers>

#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void swiglu(const SwigluArgs& a) {
  for (int64_t i = 0; i < a.n; ++i) {
    const double gate = a.gate[i];
    a.out[i] = static_cast<float>(gate / (1.0 + std::exp(-gate)) * a.up[i]);
  }
}

void geglu(const SwigluArgs& a) {
  const double slope = std::sqrt(2.0 / std::numbers::pi);
  for (int64_t i = 0; i < a.n; ++i) {
    const double gate = a.gate[i];
    const double bent = std::tanh(slope * (gate + 0.044715 * gate * gate * gate));
    a.out[i] = static_cast<float>(0.5 * gate * (1.0 + bent) * a.up[i]);
  }
}

}  // namespace reattn::kernels::reference
