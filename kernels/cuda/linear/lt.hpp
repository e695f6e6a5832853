// cuBLASLt, opened at run time: the library is half a gigabyte, and only a process that multiplies
// on the GPU needs it.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

namespace reattn::kernels::cuda {

// out = x · wᵀ (+ bias) (+ out), rows contiguous. With n_batch 2 the same x is multiplied with a
// second w, which lies w_stride elements further, into a second out, out_stride elements further.
struct Gemm {
  const void* x;  // [n_rows, n_in] of in_type
  const void* w;  // [n_out, n_in] of in_type
  void* out;      // [n_rows, n_out] of out_type
  int64_t n_rows, n_out, n_in;
  cudaDataType_t in_type, out_type;  // sums are f32
  const float* bias = nullptr;       // [n_out] or null; where out_type is f32 only
  bool accumulate = false;
  int32_t n_batch = 1;
  int64_t w_stride = 0, out_stride = 0;
  // Of CUDA_R_8F_E4M3 alone, one by one: each element of out is multiplied with both of its scales.
  const float* x_scales = nullptr;  // [n_rows]
  const float* w_scales = nullptr;  // [n_out]
};

class Lt {
 public:
  static constexpr size_t kWorkspaceBytes = size_t{32} << 20;

  Lt();
  ~Lt();
  Lt(const Lt&) = delete;
  Lt& operator=(const Lt&) = delete;

  // Opens the library where that has not been done. Throws Error(kNoDevice) naming what is missing.
  void require();
  // Enqueues the product. False where the library has no algorithm for it: addresses or rows that
  // are no multiples of 16 bytes. The algorithm is the first that the library's heuristics propose
  // for the shape, rows rounded up to a bucket: it does not depend on what was multiplied before,
  // nor on any timing.
  bool gemm(cudaStream_t stream, const Gemm& g, void* workspace);

 private:
  struct Api;
  struct Key {
    int64_t n_rows, n_out, n_in;
    int32_t types, form;
    auto operator<=>(const Key&) const = default;
  };
  struct Choice {
    bool found;
    cublasLtMatmulAlgo_t algo;
  };
  struct Problem;
  const Choice& choose(const Gemm& g, int64_t n_rows);

  std::unique_ptr<Api> api_;
  cublasLtHandle_t handle_ = nullptr;
  std::map<Key, Choice>
      choices_;  // by n_rows of the bucket; by the exact one where the bucket's was refused
};

}  // namespace reattn::kernels::cuda
