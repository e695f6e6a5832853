// Warpgroup products of int8 on Hopper (sm_90a): A in registers, B in shared memory, exact int32 accumulators.
#pragma once

#include "kernels/cuda/prim/wgmma.cuh"

namespace reattn::kernels::cuda {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int kN>
__device__ inline void pin(int32_t (&d)[kN]) {
#pragma unroll
  for (int i = 0; i < kN; ++i) asm volatile("" : "+r"(d[i])::"memory");
}

// Rows of kRow = 64 or 128 bytes, swizzled by as many, groups of 8 rows one after the other. A step of 32 bytes along a row is +2.
template <int kRow>
__device__ inline uint64_t swizzled_byte_rows(uint32_t address) {
  static_assert(kRow == 64 || kRow == 128);
  return uint64_t{kRow == 128 ? 1 : 2} << 62 | uint64_t{8 * kRow >> 4} << 32 | uint64_t{1} << 16 |
         static_cast<uint64_t>((address & 0x3ffffu) >> 4);
}

// d [64, 64] (+)= a [64, 32] · b [64, 32]ᵀ; d as in wgmma_m64n64k16. a[2p + h] is row 8h, columns 16p + 4(l%4) and the next three.
template <bool kAdd>
__device__ inline void wgmma_m64n64k32(int32_t (&d)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %37, 0; "
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p; }"
      :
        "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]),
        "+r"(d[6]), "+r"(d[7]), "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]),
        "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]), "+r"(d[16]), "+r"(d[17]),
        "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
        "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]),
        "+r"(d[30]), "+r"(d[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(int(kAdd)));
}

#endif

}  // namespace reattn::kernels::cuda
