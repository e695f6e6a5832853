#include "kernels/cuda/linear/lt.hpp"

namespace reattn::kernels::cuda {

Lt::Lt() = default;
Lt::~Lt() = default;

}  // namespace reattn::kernels::cuda
