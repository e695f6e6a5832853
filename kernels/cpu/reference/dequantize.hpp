// The one definition of how the element types of weights are read.
#pragma once

#include "reattn/kernels/types.hpp"

namespace reattn::kernels::reference {

// out = row `row` of w as floats, [w.n_cols]. w.n_cols is a multiple of the type's block.
void dequantize_row(const Matrix& w, int64_t row, float* out);

}  // namespace reattn::kernels::reference
