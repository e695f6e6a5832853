// Rows of weights: of any element type to floats, of plain ones in place against a few input rows.
#pragma once

#include <cstdint>

#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cpu {

constexpr int64_t kMaxDotRows = 15;  // input rows up to which dot_rows() beats unpacking first

// Rows [begin, begin + n) of w as floats: out is [n, w.n_cols].
void unpack_rows(const Matrix& w, int64_t begin, int64_t n, float* out);

// out[r * out_stride + o - begin] = x[r] · w[o] for w's rows o in [begin, end). A result depends on
// nothing but x[r] and w[o]: not on n_x, begin or end. x is [n_x, w.n_cols], n_x ≤ kMaxDotRows;
// w is F32, F16 or BF16 (quant_rows.hpp has those of blocks).
void dot_rows(const Matrix& w, int64_t begin, int64_t end, const float* x, int64_t n_x, float* out,
              int64_t out_stride);

}  // namespace reattn::kernels::cpu
