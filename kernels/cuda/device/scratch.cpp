#include "kernels/cuda/device/scratch.hpp"

#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cuda {

Scratch::~Scratch() {
  if (block_ != nullptr) memory_.release(block_, bytes_);
}

void Scratch::begin(size_t bytes) {
  used_ = 0;
  if (bytes <= bytes_) return;
  if (block_ != nullptr) memory_.release(block_, bytes_);
  block_ = nullptr;
  bytes_ = 0;
  block_ = static_cast<std::byte*>(memory_.allocate(bytes));
  bytes_ = bytes;
}

void* Scratch::take_bytes(size_t bytes) {
  const size_t padded_bytes = padded(bytes);
  if (padded_bytes > bytes_ - used_) fail(ErrorCode::kInternal, "scratch: more taken than begun");
  std::byte* at = block_ + used_;
  used_ += padded_bytes;
  return at;
}

}  // namespace reattn::kernels::cuda
