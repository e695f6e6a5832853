// Rows of block weights, in place, against a few input rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cpu {

// Whether a type is one of blocks, which dot_quantised() is for.
constexpr bool has_quantised_dot(DType type) {
  return dtype_info(type).block_elements > 1;
}

// Input rows in blocks of 32. Where the machine has AVX-512 VNNI they become integers of 24 bits, the greatest of a block kRoundedMost:
// no coarser than floats of the block's largest exponent. Elsewhere they stay floats.
size_t rounded_bytes(int64_t n_x, int64_t n_cols);
void round_rows(const float* x, int64_t n_x, int64_t n_cols, DType weights, std::byte* rounded);

// out[r * out_stride + o - begin] = x[r] · w[o] for w's rows o in [begin, end). A result depends on nothing but x[r] and w[o]: not on n_x, begin or end.
void dot_quantised(const Matrix& w, int64_t begin, int64_t end, const std::byte* rounded,
                   int64_t n_x, float* out, int64_t out_stride);

}  // namespace reattn::kernels::cpu
