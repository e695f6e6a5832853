// Embedding rows by their ids.
#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void embed(const EmbedArgs& a) {
  for (int64_t i = 0; i < a.n_rows; ++i) {
    dequantize_row(a.table, a.ids[i], a.out + i * a.table.n_cols);
  }
}

}  // namespace reattn::kernels::reference
