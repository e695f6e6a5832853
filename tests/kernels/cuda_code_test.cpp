// Which code the driver has loaded, and that the device's kernels are chosen by it.
#include <string>

#include "kernels/cuda/device/loaded_code.hpp"
#include "tests/kernels/cuda_fixture.hpp"

namespace reattn::kernels {
namespace {

using CudaCode = CudaTest;

TEST_F(CudaCode, IsWhatTheDeviceSaysItIs) {
  const std::string instructions = device().info().instructions;
  EXPECT_EQ(cuda::sm90a_code_is_loaded(), instructions == "sm_90a") << instructions;
}

// In the preset `ptx` on Hopper, or on another GPU.
TEST_F(CudaCode, IsPtxWhereThereIsNothingElse) {
  if (REATTN_HAS_SM90A_CODE) GTEST_SKIP() << "this build has code for sm_90a";
  EXPECT_FALSE(cuda::sm90a_code_is_loaded());
}

TEST_F(CudaCode, OfHopperIsItsOwn) {
  if (!REATTN_HAS_SM90A_CODE || device().info().name.find(" H") == std::string::npos) {
    GTEST_SKIP() << "not on Hopper, or a build without its code";
  }
  EXPECT_TRUE(cuda::sm90a_code_is_loaded());
}

}  // namespace
}  // namespace reattn::kernels
