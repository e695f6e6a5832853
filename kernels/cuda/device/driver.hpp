// The driver's entry points this plug-in uses, found at run time: nothing links libcuda.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace reattn::kernels::cuda {

struct Driver {
  CUresult (*error_string)(CUresult, const char**);
  CUresult (*mem_granularity)(size_t*, const CUmemAllocationProp*,
                              CUmemAllocationGranularity_flags);
  CUresult (*mem_reserve)(CUdeviceptr*, size_t, size_t, CUdeviceptr, unsigned long long);
  CUresult (*mem_free_reserved)(CUdeviceptr, size_t);
  CUresult (*mem_create)(CUmemGenericAllocationHandle*, size_t, const CUmemAllocationProp*,
                         unsigned long long);
  CUresult (*mem_release)(CUmemGenericAllocationHandle);
  CUresult (*mem_map)(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle,
                      unsigned long long);
  CUresult (*mem_unmap)(CUdeviceptr, size_t);
  CUresult (*mem_set_access)(CUdeviceptr, size_t, const CUmemAccessDesc*, size_t);
  decltype(&cuTensorMapEncodeTiled) encode_tiled;
};

// Throws Error(kNoDevice) where the driver lacks one.
const Driver& driver();

// Devices that the driver offers. Throws Error(kNoDevice) with the reason: no driver, too old a driver, none found.
int32_t device_count();

}  // namespace reattn::kernels::cuda
