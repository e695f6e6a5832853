#include "kernels/cuda/ops.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {

void sample(Context&, const SampleArgs&) { fail(ErrorCode::kUnsupported, "not yet"); }
void logprob(Context&, const LogprobArgs&) { fail(ErrorCode::kUnsupported, "not yet"); }

}  // namespace reattn::kernels::cuda
