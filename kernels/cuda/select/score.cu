#include "kernels/cuda/ops.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {

void score(Context&, std::span<const ScoreArgs>) { fail(ErrorCode::kUnsupported, "not yet"); }

}  // namespace reattn::kernels::cuda
