#include "kernels/cuda/device/memory.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <bit>

#include "kernels/cuda/device/driver.hpp"
#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr size_t kSlab = size_t{2} << 20;
constexpr size_t kSmallest = 256;
constexpr size_t kRangeBytes = (size_t{1} << 31) * 128;  // rows of head_dim 64, 16-bit

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

CUmemAllocationProp on_device(int32_t device) {
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  prop.location.id = device;
  return prop;
}

}  // namespace

Memory::Memory(int32_t device) : device_(device) {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  total_ = static_cast<int64_t>(total);
  const CUmemAllocationProp prop = on_device(device);
  check(driver().mem_granularity(&granularity_, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
        "cuMemGetAllocationGranularity");
  granularity_ = std::max(granularity_, kSlab);
  // Holes between blocks cost addresses only. Rows of a tensor map are numbered in 31 bits (Context::rows_map).
  range_bytes_ = round_up(std::max(total, std::min(2 * total, kRangeBytes)), granularity_);
  check(driver().mem_reserve(&base_, range_bytes_, 0, 0, 0), "cuMemAddressReserve");
  holes_[0] = range_bytes_;
}

Memory::~Memory() {
  if (base_ == 0) return;
  cudaDeviceSynchronize();
  while (!mapped_.empty()) unmap(mapped_.begin()->first);
  driver().mem_free_reserved(base_, range_bytes_);
}

int64_t Memory::free() const {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(free + kept_bytes_);
}

size_t Memory::slab_class(size_t bytes) {
  return std::max(kSmallest, std::bit_ceil(bytes));
}

void* Memory::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes <= kSlab / 2) return allocate_small(bytes);
  if (bytes > range_bytes_) {
    fail(ErrorCode::kOomDevice, bytes, " bytes were asked for, the device has ", total_);
  }
  return reinterpret_cast<void*>(base_ + map_block(round_up(bytes, granularity_)));
}

void* Memory::allocate_small(size_t bytes) {
  const size_t size = slab_class(bytes);
  Pieces& pieces = small_[size];
  if (pieces.free.empty()) {
    pieces.free.reserve((pieces.n_slabs + 1) * (granularity_ / size));
    const CUdeviceptr slab = base_ + map_block(granularity_);
    ++pieces.n_slabs;
    for (size_t end = granularity_; end >= size; end -= size) {
      pieces.free.push_back(reinterpret_cast<void*>(slab + end - size));
    }
  }
  void* piece = pieces.free.back();
  pieces.free.pop_back();
  return piece;
}

void Memory::release(void* memory, size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  if (bytes <= kSlab / 2) {
    small_[slab_class(bytes)].free.push_back(memory);  // never beyond its capacity
    return;
  }
  const size_t size = round_up(bytes, granularity_);
  const size_t offset = reinterpret_cast<CUdeviceptr>(memory) - base_;
  try {
    kept_[size].push_back(offset);
    kept_bytes_ += size;
  } catch (...) {
    cudaDeviceSynchronize();
    unmap(offset);
  }
}

size_t Memory::map_block(size_t bytes) {
  if (const auto at = kept_.find(bytes); at != kept_.end() && !at->second.empty()) {
    const size_t offset = at->second.back();
    at->second.pop_back();
    kept_bytes_ -= bytes;
    return offset;
  }
  const CUmemAllocationProp prop = on_device(device_);
  CUmemGenericAllocationHandle handle{};
  CUresult result = driver().mem_create(&handle, bytes, &prop, 0);
  if (result == CUDA_ERROR_OUT_OF_MEMORY && trim()) {
    result = driver().mem_create(&handle, bytes, &prop, 0);
  }
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    fail(ErrorCode::kOomDevice, bytes, " bytes of device memory were asked for, ", free,
         " bytes are free");
  }
  check(result, "cuMemCreate");
  size_t offset = 0;
  try {
    offset = take_addresses(bytes);
    mapped_[offset] = {bytes, handle};
  } catch (...) {
    driver().mem_release(handle);
    throw;
  }
  result = driver().mem_map(base_ + offset, bytes, 0, handle, 0);
  if (result == CUDA_SUCCESS) {
    CUmemAccessDesc access{};
    access.location = prop.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    result = driver().mem_set_access(base_ + offset, bytes, &access, 1);
  }
  if (result != CUDA_SUCCESS) {
    unmap(offset);
    check(result, "cuMemMap");
  }
  return offset;
}

size_t Memory::take_addresses(size_t bytes) {
  for (auto at = holes_.begin(); at != holes_.end(); ++at) {
    if (at->second < bytes) continue;
    const size_t offset = at->first, rest = at->second - bytes;
    holes_.erase(at);
    if (rest > 0) holes_[offset + bytes] = rest;
    return offset;
  }
  fail(ErrorCode::kOomDevice, bytes, " bytes of device addresses were asked for, no gap is left");
}

void Memory::give_addresses(size_t offset, size_t bytes) noexcept {
  auto next = holes_.lower_bound(offset);
  if (next != holes_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      holes_.erase(before);
    }
  }
  if (next != holes_.end() && offset + bytes == next->first) {
    bytes += next->second;
    holes_.erase(next);
  }
  try {
    holes_[offset] = bytes;
  } catch (...) {  // the addresses are lost, the memory is not
  }
}

void Memory::unmap(size_t offset) noexcept {
  const auto at = mapped_.find(offset);
  const Block block = at->second;
  driver().mem_unmap(base_ + offset, block.bytes);
  driver().mem_release(block.handle);
  mapped_.erase(at);
  give_addresses(offset, block.bytes);
}

bool Memory::trim() noexcept {
  if (kept_bytes_ == 0) return false;
  // Work on what was released may still run. Not while a step is captured: then there is no more memory.
  if (cudaDeviceSynchronize() != cudaSuccess) {
    cudaGetLastError();
    return false;
  }
  for (auto& [bytes, offsets] : kept_) {
    for (const size_t offset : offsets) unmap(offset);
    offsets.clear();
  }
  kept_bytes_ = 0;
  return true;
}

}  // namespace reattn::kernels::cuda
