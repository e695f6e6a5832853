#include "kernels/cuda/device/context.hpp"

#include <algorithm>

#include "kernels/cuda/device/driver.hpp"
#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {

CUtensorMap Context::rows_map(DType dtype, int32_t row_elements, int32_t box_rows,
                              int32_t box_elements) const {
  const size_t row_size = 2 * static_cast<size_t>(row_elements);
  // Coordinates are signed 32-bit numbers: a map of more rows is encoded without complaint and fails in the kernel.
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(row_elements),
                               std::min<cuuint64_t>(memory.range_bytes() / row_size, INT32_MAX)};
  const cuuint64_t strides[1] = {row_size};
  const cuuint32_t box[2] = {static_cast<cuuint32_t>(box_elements),
                             static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[2] = {1, 1};
  CUtensorMap map;
  check(
      driver().encode_tiled(&map,
                            dtype == DType::kBF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                  : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                            2, memory.base(), sizes, strides, box, steps,
                            CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                            CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
      "cuTensorMapEncodeTiled");
  return map;
}

CUtensorMap Context::byte_rows_map(int32_t row_bytes, int32_t box_rows) const {
  const auto row = static_cast<cuuint32_t>(row_bytes), rows_per_line = 128 / row;
  const cuuint64_t sizes[3] = {row, rows_per_line,
                               std::min<cuuint64_t>(memory.range_bytes() / 128, INT32_MAX)};
  const cuuint64_t strides[2] = {row, 128};
  const cuuint32_t box[3] = {row, rows_per_line, static_cast<cuuint32_t>(box_rows) / rows_per_line};
  const cuuint32_t steps[3] = {1, 1, 1};
  CUtensorMap map;
  check(
      driver().encode_tiled(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 3, memory.base(), sizes, strides,
                            box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                            row == 128 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B,
                            CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
      "cuTensorMapEncodeTiled");
  return map;
}

}  // namespace reattn::kernels::cuda
