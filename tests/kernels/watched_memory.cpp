// In place of device/memory.cpp and scratch.cpp, for compute-sanitizer: every array is a cudaMalloc of its own, exactly as long as
// it was asked for, so that the first byte beyond it and what nobody wrote are noticed. Scratch is freed many operations later: graphs keep using it.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <deque>
#include <map>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/device/memory.hpp"
#include "kernels/cuda/device/scratch.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr size_t kRangeBytes = (size_t{1} << 31) * 128;  // rows of head_dim 64, 16-bit

constexpr size_t kKept = 256;  // arrays of a scratch

// What was taken from each, the oldest first.
std::map<const Scratch*, std::deque<void*>>& taken() {
  static auto& all = *new std::map<const Scratch*, std::deque<void*>>;
  return all;
}

// While a graph is captured too.
cudaError_t allocate_now(void** memory, size_t bytes) {
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  const cudaError_t result = cudaMalloc(memory, std::max<size_t>(bytes, 1));
  cudaThreadExchangeStreamCaptureMode(&mode);
  return result;
}
void free_now(void* memory) {
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  cudaFree(memory);
  cudaThreadExchangeStreamCaptureMode(&mode);
}

}  // namespace

// Arrays of one process lie within gigabytes of each other: the range is what tensor maps can number around the first one.
Memory::Memory(int32_t device) : device_(device) {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  total_ = static_cast<int64_t>(total);
  void* first = nullptr;
  check(cudaMalloc(&first, 1), "cudaMalloc");
  check(cudaFree(first), "cudaFree");
  constexpr CUdeviceptr kGrain = CUdeviceptr{1} << 30;
  const auto at = reinterpret_cast<CUdeviceptr>(first) / kGrain * kGrain;
  base_ = at - std::min<CUdeviceptr>(at, kRangeBytes / 2);
  range_bytes_ = kRangeBytes;
}

Memory::~Memory() = default;

int64_t Memory::free() const {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<int64_t>(free);
}

void* Memory::allocate(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t result = allocate_now(&memory, bytes);
  if (result == cudaErrorMemoryAllocation) {
    fail(ErrorCode::kOomDevice, bytes, " bytes of device memory were asked for");
  }
  check(result, "cudaMalloc");
  const auto at = reinterpret_cast<CUdeviceptr>(memory);
  if (at < base_ || at + bytes > base_ + range_bytes_) {
    fail(ErrorCode::kInternal, "watched memory: an array lies outside of the range");
  }
  return memory;
}

void Memory::release(void* memory, size_t) noexcept {
  free_now(memory);
}

Scratch::~Scratch() {
  for (void* memory : taken()[this]) free_now(memory);
  taken().erase(this);
}

void Scratch::begin(size_t bytes) {
  for (auto& all = taken()[this]; all.size() > kKept; all.pop_front()) free_now(all.front());
  bytes_ = bytes;
  used_ = 0;
}

void* Scratch::take_bytes(size_t bytes) {
  if (padded(bytes) > bytes_ - used_) fail(ErrorCode::kInternal, "scratch: more taken than begun");
  used_ += padded(bytes);
  taken()[this].push_back(memory_.allocate(bytes));
  return taken()[this].back();
}

}  // namespace reattn::kernels::cuda
