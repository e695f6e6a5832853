#include "kernels/cuda/ops.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {

void attend(Context&, std::span<const AttendArgs>) { fail(ErrorCode::kUnsupported, "not yet"); }

}  // namespace reattn::kernels::cuda
