// Which of the code in this library the driver has loaded.
#pragma once

namespace reattn::kernels::cuda {

// That for sm_90a, in which Hopper's own instructions are, on the current device. False where the PTX for any device is used: on others
// than Hopper, and on Hopper where the build has no code for sm_90a or the driver was told not to use it (CUDA_FORCE_PTX_JIT).
bool sm90a_code_is_loaded();

}  // namespace reattn::kernels::cuda
