// One row of x times F8 matrices: a stream of weights in the order in which they lie in memory, as
// gemv_row.cu has it (a block, or a warp where rows are short, takes row after row; each lane's own
// ring in shared memory; an mma's diagonal). A row has half the bytes here, so what a row costs
// besides counts twice: sums are brought together eight rows at a time.
#include <algorithm>
#include <utility>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/gemv_f8.cuh"
#include "kernels/cuda/linear/gemv_f8.hpp"
#include "kernels/cuda/linear/pdl.cuh"

namespace reattn::kernels::cuda {
namespace {

using namespace gemv_parts;  // NOLINT: this file is one of its parts

constexpr int kBatch = 8;      // rows whose sums are brought together
constexpr int kMaxPieces = 7;  // of 16 bytes that a lane has of a row
constexpr int kMaxPiecesOfWarp = 4;

// Blocks of a multiprocessor, by the registers that x takes.
constexpr int blocks_per_sm(int n_pieces) {
  return n_pieces <= 1 ? 4 : n_pieces <= 2 ? 3 : n_pieces <= 4 ? 2 : 1;
}
// Rows that a thread has in its ring: 160 to 192 KB of all blocks of a multiprocessor.
constexpr int ring_rows(int n_pieces) {
  return std::max(3, std::min(24, 48 / blocks_per_sm(n_pieces)) / n_pieces);
}
constexpr size_t ring_bytes(int n_pieces) {
  return static_cast<size_t>(ring_rows(n_pieces)) * n_pieces * kThreads * 16;
}

__device__ void copy_async(uint4* to, const void* from, bool in_range) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
               "r"(in_range ? 16 : 0)
               : "memory");
}

// Rows of all parts one after the other; of gate and up in turns.
struct Row {
  const Part* part;
  int32_t index;
};
__device__ Row find_row(const Params& a, bool gate_up, int row) {
  if (gate_up) return {&a.parts[row % 2], row / 2};
  const Part* p = row >= a.parts[2].first_row   ? &a.parts[2]
                  : row >= a.parts[1].first_row ? &a.parts[1]
                                                : &a.parts[0];
  return {p, row - p->first_row};
}

// What a row's sum of products is multiplied with, and what is added then.
struct Finish {
  float scale = 0, addend = 0;

  Finish() = default;
  __device__ Finish(const Params& a, bool gate_up, int row) {
    const Row r = find_row(a, gate_up, row);
    scale = r.part->scales[r.index] * kF8Unit;
    if (gate_up) return;
    if (r.part->bias != nullptr) addend = r.part->bias[r.index];
    if (a.accumulate) addend += r.part->out[r.index];
  }
};

// dot and, of a pair, the gate's before it.
__device__ void finish_row(const Params& a, bool gate_up, int row, float dot, float gate,
                           float addend) {
  const Row r = find_row(a, gate_up, row);
  if (gate_up) {
    a.parts[0].out[r.index] = gate / (1.0F + expf(-gate)) * dot;
  } else {
    r.part->out[r.index] = addend + dot;
  }
}

__device__ float warp_sum(float v) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, step);
  return v;
}

// Eight sums over the warp at once: lane l gets that of row l / 4.
__device__ float warp_sums(float (&v)[kBatch]) {
#pragma unroll
  for (int half = kBatch / 2; half > 0; half /= 2) {
    const bool upper = (threadIdx.x & (4 * half)) != 0;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float give = upper ? v[i] : v[i + half], keep = upper ? v[i + half] : v[i];
      v[i] = keep + __shfl_xor_sync(0xFFFFFFFFu, give, 4 * half);
    }
  }
  float sum = v[0];
  sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 2);
  sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 1);
  return sum;
}

// kTeam warps share a row: all of a block, or one.
template <int kPieces, int kTeam>
__global__ void __launch_bounds__(kThreads, blocks_per_sm(kPieces))
    gemv_row_f8_kernel(const __grid_constant__ Params a, bool gate_up) {
  constexpr int kDepth = ring_rows(kPieces);
  constexpr int kPiece = kTeam * 32 * 16;  // elements that the team's lanes load together
  extern __shared__ uint4 shared[];
  __shared__ float partial[2][kBatch][kWarps];
  __shared__ float warp_squares[kWarps];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int at = (kTeam == 1 ? lane : static_cast<int>(threadIdx.x)) * 16;
  uint4* ring = shared + threadIdx.x;  // [kDepth, kPieces, kThreads]

  // This team's rows.
  const int64_t n_teams = int64_t{gridDim.x} * (kTeam == 1 ? kWarps : 1);
  const int64_t team = kTeam == 1 ? int64_t{blockIdx.x} * kWarps + warp : blockIdx.x;
  const int per_unit = gate_up ? 2 : 1, n_units = a.n_units;
  const int begin = static_cast<int>(n_units * team / n_teams) * per_unit;
  const int end = static_cast<int>(n_units * (team + 1) / n_teams) * per_unit;

  int next = begin, fill = 0;
  const auto fetch = [&] {
    if (next < end) {
      const Row r = find_row(a, gate_up, next);
      const uint8_t* w = reinterpret_cast<const uint8_t*>(r.part->w) + int64_t{r.index} * a.n_in;
#pragma unroll
      for (int p = 0; p < kPieces; ++p) {
        const int k = p * kPiece + at;
        const bool in_range = k < a.n_in;
        copy_async(ring + (fill * kPieces + p) * kThreads, w + (in_range ? k : 0), in_range);
      }
      ++next;
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    fill = fill + 1 == kDepth ? 0 : fill + 1;
  };
#pragma unroll
  for (int i = 0; i + 1 < kDepth; ++i) fetch();
  wait_for_previous();
  let_next_start();

  Eight x[kPieces][2];
#pragma unroll
  for (int p = 0; p < kPieces; ++p) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int k = p * kPiece + at + 8 * h;
      x[p][h] = Eight(a.x + k, k < a.n_in);
    }
  }
  float squares = 0;
  if (a.norm != nullptr) {
#pragma unroll
    for (int p = 0; p < kPieces; ++p) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int k = p * kPiece + at + 8 * h;
        squares = x[p][h].squares(squares);
        x[p][h].multiply(Eight(a.norm + k, k < a.n_in));
      }
    }
  }
  uint4 x_high[kPieces][2], x_low[kPieces][2];
#pragma unroll
  for (int p = 0; p < kPieces; ++p) {
#pragma unroll
    for (int h = 0; h < 2; ++h) split_for_f8(x[p][h], x_high[p][h], x_low[p][h]);
  }
  float scale = 1;
  if (a.norm != nullptr) {
    squares = warp_sum(squares);
    if constexpr (kTeam > 1) {
      if (lane == 0) warp_squares[warp] = squares;
      __syncthreads();
      squares = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) squares += warp_squares[w];
    }
    scale = 1.0F / sqrtf(squares / static_cast<float>(a.n_in) + a.eps);
  }

  int use = 0, batch = 0;
  for (int first = begin; first < end; first += kBatch, ++batch) {
    // The lanes that finish a batch: of a block, eight of one warp; of a warp, one of each quad.
    const bool finishes = kTeam == 1 ? lane % 4 == 0 : warp == batch % kWarps && lane < kBatch;
    const int own_row = first + (kTeam == 1 ? lane / 4 : lane);
    Finish finish;
    if (finishes && own_row < end) finish = Finish(a, gate_up, own_row);
    float dots[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      dots[b] = 0;
      if (first + b >= end) continue;
      fetch();
      asm volatile("cp.async.wait_group %0;" ::"n"(kDepth - 1) : "memory");
      float c[4] = {};
#pragma unroll
      for (int p = 0; p < kPieces; ++p) {
        const uint4 w = ring[(use * kPieces + p) * kThreads];
        const uint32_t words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          uint32_t even, odd;
          unpack_f8(words[2 * h], even, odd);
          mma(c, x_high[p][h].x, x_low[p][h].x, x_high[p][h].y, x_low[p][h].y, even, odd);
          unpack_f8(words[2 * h + 1], even, odd);
          mma(c, x_high[p][h].z, x_low[p][h].z, x_high[p][h].w, x_low[p][h].w, even, odd);
        }
      }
      use = use + 1 == kDepth ? 0 : use + 1;
      // The diagonal: columns 2t and 2t + 1 are in lane t of a quad.
      const int quad = lane / 4;
      const float own = quad % 2 == 0 ? c[0] + c[2] : c[1] + c[3];
      dots[b] = quad / 2 == lane % 4 ? own : 0.0F;
    }
    float sum = warp_sums(dots);
    if constexpr (kTeam == 1) {
      sum *= scale * finish.scale;
      const float gate = __shfl_xor_sync(0xFFFFFFFFu, sum, 4);
      if (finishes && own_row < end && (!gate_up || own_row % 2 == 1)) {
        finish_row(a, gate_up, own_row, sum, gate, finish.addend);
      }
    } else {
      float(*sums)[kWarps] = partial[batch % 2];
      if (lane % 4 == 0) sums[lane / 4][warp] = sum;
      __syncthreads();  // also: what was stored the batch before last has been read
      if (warp == batch % kWarps) {
        float all = 0;
        if (lane < kBatch) {
#pragma unroll
          for (int w = 0; w < kWarps; ++w) all += sums[lane][w];
        }
        all *= scale * finish.scale;
        const float gate = __shfl_xor_sync(0xFFFFFFFFu, all, 1);
        if (finishes && own_row < end && (!gate_up || own_row % 2 == 1)) {
          finish_row(a, gate_up, own_row, all, gate, finish.addend);
        }
      }
    }
  }
}

template <int kPieces, int kTeam>
void launch(Context& ctx, const Params& p, bool gate_up) {
  constexpr size_t kBytes = ring_bytes(kPieces);
  auto* kernel = gemv_row_f8_kernel<kPieces, kTeam>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kBytes)),
        "cudaFuncSetAttribute");
  const int n_most = kTeam == 1 ? (p.n_units + kWarps - 1) / kWarps : p.n_units;
  const int n_blocks = std::min(n_most, ctx.n_sms * blocks_per_sm(kPieces));
  launch_early(ctx, kernel, "gemv_row_f8_kernel", dim3(static_cast<unsigned>(n_blocks)), kThreads,
               kBytes, p, gate_up);
}

template <int kTeam, int... kPieces>
bool launch_for(Context& ctx, const Params& p, bool gate_up, int n_pieces,
                std::integer_sequence<int, kPieces...>) {
  return ((n_pieces == kPieces + 1 && (launch<kPieces + 1, kTeam>(ctx, p, gate_up), true)) || ...);
}

}  // namespace

bool launch_gemv_row_f8(Context& ctx, const Params& p, bool gate_up) {
  const auto pieces = [&](int n_warps) { return (p.n_in + n_warps * 512 - 1) / (n_warps * 512); };
  if (pieces(1) <= kMaxPiecesOfWarp) {
    return launch_for<1>(ctx, p, gate_up, pieces(1),
                         std::make_integer_sequence<int, kMaxPiecesOfWarp>{});
  }
  return launch_for<kWarps>(ctx, p, gate_up, pieces(kWarps),
                            std::make_integer_sequence<int, kMaxPieces>{});
}

}  // namespace reattn::kernels::cuda
