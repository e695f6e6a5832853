// One row of x times matrices: a stream of weights, in the order in which they lie in memory. A
// block (or, where rows are short, a warp) stays and takes row after row; a lane loads 16 bytes
// where its neighbours load theirs, into its own ring in shared memory, rows ahead of their use and
// before the kernel before this one has ended.
//
// The tensor cores multiply: of an mma, column g is what the four lanes of quad g hold of a row of
// weights, and rows g and g + 8 are what they hold of x, in two bf16 parts. Only the products of
// the same quad are of use, which are the diagonal.
#include "kernels/cuda/linear/gemv_row.hpp"

#include <algorithm>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/prim/early_launch.cuh"

namespace reattn::kernels::cuda {
namespace {

using namespace gemv_parts;  // NOLINT: this file is one of its parts

constexpr int kBatch = 8;      // rows whose sums the warps of a block bring together at a time
constexpr int kMaxPieces = 8;  // of 16 bytes that a lane has of a row
constexpr int kMaxPiecesOfWarp = 6;

// Blocks of a multiprocessor, by the registers that x takes.
constexpr int blocks_per_sm(int n_pieces) {
  return n_pieces <= 2 ? 5 : n_pieces <= 4 ? 3 : n_pieces <= 7 ? 2 : 1;
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

__device__ float warp_sum(float v) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, step);
  return v;
}

// What the product of a row of weights is added to.
__device__ float addend(const Params& a, bool gate_up, int row) {
  if (gate_up) return 0;
  const Row r = find_row(a, gate_up, row);
  float sum = r.part->bias != nullptr ? r.part->bias[r.index] : 0.0F;
  if (a.accumulate) sum += r.part->out[r.index];
  return sum;
}

// dot and, of a pair, the gate's before it: scaled products of one row of weights.
__device__ void finish_row(const Params& a, bool gate_up, int row, float dot, float gate,
                           float add_to) {
  const Row r = find_row(a, gate_up, row);
  if (gate_up) {
    a.parts[0].out[r.index] = gate / (1.0F + expf(-gate)) * dot;
  } else {
    r.part->out[r.index] = add_to + dot;
  }
}

// kTeam warps share a row: all of a block, or one.
template <int kPieces, int kTeam>
__global__ void __launch_bounds__(kThreads, blocks_per_sm(kPieces))
    gemv_row_kernel(const __grid_constant__ Params a, bool gate_up) {
  constexpr int kDepth = ring_rows(kPieces);
  constexpr int kPiece = kTeam * 32 * 8;  // elements that the team's lanes load together
  extern __shared__ uint4 shared[];
  __shared__ float partial[2][kBatch][kWarps];
  __shared__ float warp_squares[kWarps];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int at = (kTeam == 1 ? lane : static_cast<int>(threadIdx.x)) * 8;
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
      const __nv_bfloat16* w = r.part->w + int64_t{r.index} * a.n_in;
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
  Eight norm[kPieces];  // weights as well
  if (a.norm != nullptr) {
#pragma unroll
    for (int p = 0; p < kPieces; ++p) {
      norm[p] = Eight(a.norm + p * kPiece + at, p * kPiece + at < a.n_in);
    }
  }
  wait_for_previous();
  let_next_start();

  Eight x[kPieces];
#pragma unroll
  for (int p = 0; p < kPieces; ++p) x[p] = Eight(a.x + p * kPiece + at, p * kPiece + at < a.n_in);
  float squares = 0;
  if (a.norm != nullptr) {
#pragma unroll
    for (int p = 0; p < kPieces; ++p) {
      squares = x[p].squares(squares);
      x[p].multiply(norm[p]);
    }
  }
  uint4 x_high[kPieces], x_low[kPieces];
#pragma unroll
  for (int p = 0; p < kPieces; ++p) x[p].split_into(x_high[p], x_low[p]);
  float scale = 1;
  const auto norm_scale = [&](float sum) {
    return 1.0F / sqrtf(sum / static_cast<float>(a.n_in) + a.eps);
  };
  if (a.norm != nullptr) {
    squares = warp_sum(squares);
    if constexpr (kTeam == 1) {
      scale = norm_scale(squares);
    } else {
      if (lane == 0) warp_squares[warp] = squares;
      __syncthreads();
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) sum += warp_squares[w];
      scale = norm_scale(sum);
    }
  }

  int use = 0, batch = 0;
  float gate = 0, add_to = 0;
  for (int row = begin; row < end; ++row) {
    if constexpr (kTeam == 1) {
      if (lane == 0) add_to = addend(a, gate_up, row);
    } else {
      const int in_batch = (row - begin) % kBatch;
      if (in_batch == 0 && warp == batch % kWarps && lane < kBatch && row + lane < end) {
        add_to = addend(a, gate_up, row + lane);
      }
    }
    fetch();
    asm volatile("cp.async.wait_group %0;" ::"n"(kDepth - 1) : "memory");
    float c[4] = {};
#pragma unroll
    for (int p = 0; p < kPieces; ++p) {
      const uint4 w = ring[(use * kPieces + p) * kThreads];
      mma(c, x_high[p].x, x_low[p].x, x_high[p].y, x_low[p].y, w.x, w.y);
      mma(c, x_high[p].z, x_low[p].z, x_high[p].w, x_low[p].w, w.z, w.w);
    }
    use = use + 1 == kDepth ? 0 : use + 1;
    // The diagonal: columns 2t and 2t + 1 are in lane t of a quad.
    const int quad = lane / 4;
    const float own = quad % 2 == 0 ? c[0] + c[2] : c[1] + c[3];
    const float dot = warp_sum(quad / 2 == lane % 4 ? own : 0.0F);
    if constexpr (kTeam == 1) {
      if (gate_up && row % 2 == 0) {
        gate = dot * scale;
      } else if (lane == 0) {
        finish_row(a, gate_up, row, dot * scale, gate, add_to);
      }
    } else {
      const int in_batch = (row - begin) % kBatch;
      float(*sums)[kWarps] = partial[batch % 2];
      if (lane == 0) sums[in_batch][warp] = dot;
      if (in_batch + 1 < kBatch && row + 1 < end) continue;
      __syncthreads();  // also: what was stored the batch before last has been read
      if (warp == batch % kWarps) {
        float sum = 0;
        if (lane <= in_batch) {
#pragma unroll
          for (int w = 0; w < kWarps; ++w) sum += sums[lane][w];
        }
        sum *= scale;
        gate = __shfl_xor_sync(0xFFFFFFFFu, sum, 1);
        const int of = row - in_batch + lane;
        if (lane <= in_batch && (!gate_up || of % 2 == 1))
          finish_row(a, gate_up, of, sum, gate, add_to);
      }
      ++batch;
    }
  }
}

template <int kPieces, int kTeam>
void launch(Context& ctx, const Params& p, bool gate_up) {
  constexpr size_t kBytes = ring_bytes(kPieces);
  auto* kernel = gemv_row_kernel<kPieces, kTeam>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kBytes)),
        "cudaFuncSetAttribute");
  const int n_most = kTeam == 1 ? (p.n_units + kWarps - 1) / kWarps : p.n_units;
  const int n_blocks = std::min(n_most, ctx.n_sms * blocks_per_sm(kPieces));
  launch_early(ctx, kernel, "gemv_row_kernel", dim3(static_cast<unsigned>(n_blocks)), kThreads,
               kBytes, p, gate_up);
}

template <int kTeam, int... kPieces>
bool launch_for(Context& ctx, const Params& p, bool gate_up, int n_pieces,
                std::integer_sequence<int, kPieces...>) {
  return ((n_pieces == kPieces + 1 && (launch<kPieces + 1, kTeam>(ctx, p, gate_up), true)) || ...);
}

}  // namespace

bool launch_gemv_row(Context& ctx, const Params& p, bool gate_up) {
  const auto pieces = [&](int n_warps) { return (p.n_in + n_warps * 256 - 1) / (n_warps * 256); };
  if (pieces(1) <= kMaxPiecesOfWarp) {
    return launch_for<1>(ctx, p, gate_up, pieces(1),
                         std::make_integer_sequence<int, kMaxPiecesOfWarp>{});
  }
  return launch_for<kWarps>(ctx, p, gate_up, pieces(kWarps),
                            std::make_integer_sequence<int, kMaxPieces>{});
}

}  // namespace reattn::kernels::cuda
