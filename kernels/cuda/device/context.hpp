// What every CUDA operation is handed.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "kernels/cuda/device/memory.hpp"
#include "kernels/cuda/device/scratch.hpp"
#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cuda {

class Lt;

struct Context {
  cudaStream_t stream;
  Scratch& scratch;
  const Memory& memory;
  Lt& lt;  // cuBLASLt
  int32_t n_sms;
  int32_t capability;  // 90: compute capability 9.0
  bool has_sm90a;      // the code for it is loaded: wgmma kernels may be launched
  size_t most_shared_bytes = size_t{227} << 10;  // of a block; 99 KB on some devices

  // A tensor map over all device memory taken as rows of `row_elements` 16-bit numbers, boxes of [box_rows, box_elements],
  // 128-byte swizzle. The row of an address is (address − memory.base()) / (2 · row_elements).
  CUtensorMap rows_map(DType dtype, int32_t row_elements, int32_t box_rows,
                       int32_t box_elements) const;
  // The same memory as lines of 128 bytes, each of 128 / row_bytes rows, for rows of 64 or 128 bytes: [line, row of it, byte]; boxes of
  // box_rows whole rows, swizzled by row_bytes. The line of an address is (address − memory.base()) / 128.
  CUtensorMap byte_rows_map(int32_t row_bytes, int32_t box_rows) const;
};

}  // namespace reattn::kernels::cuda
