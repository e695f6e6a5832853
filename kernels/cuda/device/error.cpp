#include "kernels/cuda/device/error.hpp"

#include "kernels/cuda/device/driver.hpp"

namespace reattn::kernels::cuda {
namespace {

// After one of these every later call of the process on this device fails too.
bool is_sticky(cudaError_t e) {
  switch (e) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorECCUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace

void check(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return;
  if (!is_sticky(result)) cudaGetLastError();  // so that the next check does not see it again
  const ErrorCode code = result == cudaErrorMemoryAllocation ? ErrorCode::kOomDevice
                         : is_sticky(result)                 ? ErrorCode::kDeviceLost
                                                             : ErrorCode::kInternal;
  fail(code, "CUDA: ", what, ": ", cudaGetErrorString(result));
}

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  const char* text = nullptr;
  driver().error_string(result, &text);
  fail(result == CUDA_ERROR_OUT_OF_MEMORY ? ErrorCode::kOomDevice : ErrorCode::kInternal,
       "CUDA: ", what, ": ", text != nullptr ? text : "unknown error");
}

}  // namespace reattn::kernels::cuda
