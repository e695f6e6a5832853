// Embedding rows by their ids.
#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void embed(const EmbedArgs& a) {
  for (int64_t i = 0; i < a.n_rows; ++i) {
    float* out = a.out + i * a.table.n_cols;
    dequantize_row(a.table, a.ids[i], out);
    for (int64_t c = 0; c < a.table.n_cols; ++c) out[c] *= a.scale;
  }
}

}  // namespace reattn::kernels::reference
