// Device memory: alignment, reuse, refusal of what cannot be had, and life after it.
#include <algorithm>
#include <limits>

#include "tests/kernels/cuda_fixture.hpp"

namespace reattn::kernels {
namespace {

using CudaMemory = CudaTest;

TEST_F(CudaMemory, DescribesItself) {
  const DeviceInfo info = device().info();
  EXPECT_EQ(info.kind, "cuda");
  EXPECT_FALSE(info.name.empty());
  EXPECT_GT(info.memory_free, 0);
  EXPECT_GE(info.memory_total, info.memory_free);
}

TEST_F(CudaMemory, AllocatesAlignedMemoryAndCopies) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100'000}, size_t{9} << 20}) {
    void* a = device().allocate(bytes);
    void* b = device().allocate(bytes);
    EXPECT_NE(a, b);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 256, 0U);
    std::vector<char> in(bytes), out(bytes);
    for (size_t i = 0; i < bytes; ++i) in[i] = static_cast<char>(i * 7);
    device().upload(stream_, a, in.data(), bytes);
    device().copy(stream_, b, a, bytes);
    device().download(stream_, out.data(), b, bytes);
    EXPECT_EQ(in, out);
    device().release(a, bytes);
    device().release(b, bytes);
  }
}

TEST_F(CudaMemory, RefusesWhatTheDeviceCannotHold) {
  const auto free = static_cast<size_t>(device().info().memory_free);
  for (const size_t bytes :
       {free + (size_t{1} << 30), free * 2, free * 16, std::numeric_limits<size_t>::max() / 2}) {
    try {
      device().release(device().allocate(bytes), bytes);
      ADD_FAILURE() << bytes << " bytes were granted";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kOomDevice) << e.what();
    }
  }
}

// Memory is filled until no block is left, freed, and asked for in blocks of another size.
TEST_F(CudaMemory, GoesOnAfterItWasFull) {
  const auto before = device().info().memory_free;
  const size_t sizes[] = {size_t{3} << 30, size_t{1} << 30, (size_t{2} << 30) + 1};
  for (const size_t bytes : sizes) {
    std::vector<void*> blocks;
    try {
      while (true) blocks.push_back(device().allocate(bytes));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kOomDevice) << e.what();
    }
    EXPECT_GE(blocks.size() * bytes + 2 * bytes, static_cast<size_t>(before));
    ASSERT_FALSE(blocks.empty());
    const std::vector<int> in = {1, 2, 3};
    std::vector<int> out(3);
    device().upload(stream_, blocks.back(), in.data(), sizeof(int) * 3);
    device().download(stream_, out.data(), blocks.back(), sizeof(int) * 3);
    EXPECT_EQ(in, out);
    for (void* block : blocks) device().release(block, bytes);
  }
  EXPECT_GE(device().info().memory_free, before - (int64_t{64} << 20));
}

TEST(CudaDevices, RefusesANumberThatDoesNotExist) {
  for (const int32_t index : {-1, 4096}) {
    try {
      cuda::make_device(index);
      ADD_FAILURE() << index;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kNoDevice) << e.what();
      EXPECT_NE(std::string(e.what()).find("CUDA"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace reattn::kernels
