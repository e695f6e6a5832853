// Weights as they lie in a file, to what the device multiplies with.
#pragma once

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cuda {

// Whether expand_to_bf16 and quantize_rows know a type of files.
constexpr bool expands(DType t) {
  return t == DType::kF32 || t == DType::kF16 || t == DType::kBF16 || t == DType::kQ8_0 ||
         t == DType::kQ4_0 || t == DType::kQ4_1;
}

// n_elements of file_type, 2-byte aligned device memory, rounded to BF16 (nearest, ties to even)
// into out, 16-byte aligned device memory. n_elements is a multiple of the type's block.
void expand_to_bf16(Context& ctx, DType file_type, const void* blocks, int64_t n_elements,
                    void* out);

}  // namespace reattn::kernels::cuda
