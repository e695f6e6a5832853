#include "kernels/cuda/ops.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {

void matmul(Context&, const MatmulArgs&) { fail(ErrorCode::kUnsupported, "not yet"); }

}  // namespace reattn::kernels::cuda
