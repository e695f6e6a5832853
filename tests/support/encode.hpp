// F32 values in the element types of GGUF.
#pragma once

#include <cstddef>
#include <vector>

#include "reattn/kernels/types.hpp"

namespace reattn::test {

// `values` stored as `dtype`, rounded to nearest; rows are multiples of the type's block.
std::vector<std::byte> encode(kernels::DType dtype, const std::vector<float>& values);

}  // namespace reattn::test
