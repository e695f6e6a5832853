// Products with many rows on the matrix unit of x86 (AMX), as exact as in floats.
#pragma once

#include "kernels/cpu/ops.hpp"

namespace reattn::kernels::cpu {

// Whether the machine has AMX for BF16, the system lets this process use it and Highway is not held to lesser targets.
bool has_bf16_tiles();

// matmul() of any number of rows, for has_bf16_tiles(). A float is the sum of three BF16 numbers to its last bit or nearly; products of
// two floats are those of such parts down to 2^-24, summed in floats. An output depends on nothing but its row of x and of weights.
void matmul_bf16_tiles(const Context& c, const MatmulArgs& a);

}  // namespace reattn::kernels::cpu
