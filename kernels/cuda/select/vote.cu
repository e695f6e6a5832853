#include "kernels/cuda/ops.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {

void vote(Context&, std::span<const VoteArgs>) { fail(ErrorCode::kUnsupported, "not yet"); }
void expand(Context&, std::span<const ExpandArgs>) { fail(ErrorCode::kUnsupported, "not yet"); }

}  // namespace reattn::kernels::cuda
