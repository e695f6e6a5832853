// cuBLASLt, opened at run time: the library is half a gigabyte, and only a process that multiplies on the GPU needs it.
#pragma once

namespace reattn::kernels::cuda {

class Lt {
 public:
  Lt();
  ~Lt();
};

}  // namespace reattn::kernels::cuda
