#include "kernels/cuda/ops.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {

void embed(Context&, const EmbedArgs&) { fail(ErrorCode::kUnsupported, "not yet"); }
void rms_norm(Context&, const RmsNormArgs&) { fail(ErrorCode::kUnsupported, "not yet"); }
void swiglu(Context&, const SwigluArgs&) { fail(ErrorCode::kUnsupported, "not yet"); }

}  // namespace reattn::kernels::cuda
