// silu(gate) · up in double.
#include <cmath>

#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void swiglu(const SwigluArgs& a) {
  for (int64_t i = 0; i < a.n; ++i) {
    const double gate = a.gate[i];
    a.out[i] = static_cast<float>(gate / (1.0 + std::exp(-gate)) * a.up[i]);
  }
}

}  // namespace reattn::kernels::reference
