// One row of x times F8 matrices: a stream of weights in the order in which they lie in memory, as
// gemv_row.cu has it (a block, or a warp where rows are short, takes row after row; each lane's own
// ring in shared memory; an mma's diagonal). A row has half the bytes here, so what a row costs
// besides counts twice: sums are brought together eight rows at a time.
#include <algorithm>
#include <utility>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/gemv_f8.cuh"
#include "kernels/cuda/linear/gemv_f8.hpp"
#include "kernels/cuda/prim/early_launch.cuh"

namespace reattn::kernels::cuda {
namespace {

using namespace gemv_parts;  // NOLINT: this file is one of its parts

constexpr int kBatch = 8;      // rows whose sums are brought together
constexpr int kGroup = 2;      // rows that are fetched, waited for and multiplied together
constexpr int kMaxPieces = 7;  // of 16 bytes that a lane has of a row
constexpr int kMaxPiecesOfWarp = 4;

// Blocks of a multiprocessor, by the registers that x takes.
constexpr int blocks_per_sm(int n_pieces) {
  return n_pieces <= 1 ? 4 : n_pieces <= 4 ? 2 : 1;
}
// Rows that a thread has in its ring: a divisor of kBatch, so that each row of a batch has its place.
constexpr int ring_rows(int n_pieces) {
  return n_pieces <= 2 ? 8 : 4;
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
    scale = r.part->scales[r.index];
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

__device__ float warp_max(float v) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v = fmaxf(v, __shfl_xor_sync(0xFFFFFFFFu, v, step));
  return v;
}

// The addresses of a team's rows, one after the other.
class RowStream {
 public:
  __device__ RowStream(const Params& a, bool gate_up, int begin, int end, int at)
      : a_(a), gate_up_(gate_up), next_(begin), end_(end), at_(at) {
    if (begin < end) find();
  }
  __device__ bool more() const { return next_ < end_; }
  __device__ const uint8_t* row() const { return from_; }
  __device__ void advance() {
    ++next_;
    if (gate_up_) {  // the two take turns
      const uint8_t* const gate_or_up = from_ + a_.n_in;
      from_ = other_;
      other_ = gate_or_up;
    } else {
      from_ += a_.n_in;
      if (next_ >= until_ && next_ < end_) find();
    }
  }

 private:
  __device__ const uint8_t* address(int row) const {
    const Row r = find_row(a_, gate_up_, row);
    return reinterpret_cast<const uint8_t*>(r.part->w) + int64_t{r.index} * a_.n_in + at_;
  }
  __device__ void find() {
    from_ = address(next_);
    if (gate_up_) {
      other_ = address(next_ + 1);
    } else {
      const Part* p = find_row(a_, false, next_).part;
      until_ = p->first_row + p->n_out;
    }
  }

  const Params& a_;
  bool gate_up_;
  int next_, end_, at_, until_ = 0;
  const uint8_t* from_ = nullptr;
  const uint8_t* other_ = nullptr;
};

// kTeam warps share a row: all of a block, or one.
template <int kPieces, int kTeam>
__global__ void __launch_bounds__(kThreads, blocks_per_sm(kPieces))
    gemv_row_f8_kernel(const __grid_constant__ Params a, bool gate_up) {
  constexpr int kDepth = ring_rows(kPieces);
  constexpr int kPiece = kTeam * 32 * 16;  // elements that the team's lanes load together
  extern __shared__ uint4 shared[];
  __shared__ float partial[2][kBatch][kWarps];
  __shared__ float warp_squares[kWarps], warp_most[kWarps];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int at = (kTeam == 1 ? lane : static_cast<int>(threadIdx.x)) * 16;
  uint4* ring = shared + threadIdx.x;  // [kDepth, kPieces, kThreads]

  // This team's rows.
  const int64_t n_teams = int64_t{gridDim.x} * (kTeam == 1 ? kWarps : 1);
  const int64_t team = kTeam == 1 ? int64_t{blockIdx.x} * kWarps + warp : blockIdx.x;
  const int per_unit = gate_up ? 2 : 1, n_units = a.n_units;
  const int begin = static_cast<int>(n_units * team / n_teams) * per_unit;
  const int end = static_cast<int>(n_units * (team + 1) / n_teams) * per_unit;

  RowStream rows(a, gate_up, begin, end, at);
  const auto fetch_group = [&](int slot) {  // of its first row
#pragma unroll
    for (int g = 0; g < kGroup; ++g) {
      if (!rows.more()) break;
#pragma unroll
      for (int p = 0; p < kPieces; ++p) {
        const bool in_range = p * kPiece + at < a.n_in;
        copy_async(ring + ((slot + g) * kPieces + p) * kThreads,
                   rows.row() + (in_range ? p * kPiece : -at), in_range);
      }
      rows.advance();
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
#pragma unroll
  for (int slot = 0; slot + kGroup < kDepth; slot += kGroup) fetch_group(slot);
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
  float squares = 0, most = 0;
#pragma unroll
  for (int p = 0; p < kPieces; ++p) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      if (a.norm != nullptr) {
        const int k = p * kPiece + at + 8 * h;
        squares = x[p][h].squares(squares);
        x[p][h].multiply(Eight(a.norm + k, k < a.n_in));
      }
      most = largest(x[p][h], most);
    }
  }
  most = warp_max(most);
  if (a.norm != nullptr) squares = warp_sum(squares);
  if constexpr (kTeam > 1) {
    if (lane == 0) {
      warp_squares[warp] = squares;
      warp_most[warp] = most;
    }
    __syncthreads();
    squares = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      squares += warp_squares[w];
      most = fmaxf(most, warp_most[w]);
    }
  }
  const PowerOfTwo power(most);
  float scale = power.back;
  if (a.norm != nullptr) scale /= sqrtf(squares / static_cast<float>(a.n_in) + a.eps);
  uint4 x_high[kPieces][2], x_low[kPieces][2];
#pragma unroll
  for (int p = 0; p < kPieces; ++p) {
#pragma unroll
    for (int h = 0; h < 2; ++h) split_f16(x[p][h], power.times, x_high[p][h], x_low[p][h]);
  }

  int batch = 0;
  for (int first = begin; first < end; first += kBatch, ++batch) {
    // The lanes that finish a batch: of a block, eight of one warp; of a warp, one of each quad.
    const bool finishes = kTeam == 1 ? lane % 4 == 0 : warp == batch % kWarps && lane < kBatch;
    const int own_row = first + (kTeam == 1 ? lane / 4 : lane);
    Finish finish;
    if (finishes && own_row < end) finish = Finish(a, gate_up, own_row);
    float dots[kBatch];  // beyond the last row: anything, nobody reads it
#pragma unroll
    for (int b = 0; b < kBatch; b += kGroup) {
#pragma unroll
      for (int g = 0; g < kGroup; ++g) dots[b + g] = 0;
      if (first + b >= end) continue;
      fetch_group((b + kDepth - kGroup) % kDepth);  // where the group before this one was
      asm volatile("cp.async.wait_group %0;" ::"n"(kDepth / kGroup - 1) : "memory");
      float c[kGroup][4] = {};
#pragma unroll
      for (int p = 0; p < kPieces; ++p) {
        uint4 w[kGroup];
#pragma unroll
        for (int g = 0; g < kGroup; ++g) {
          w[g] = ring[((b + g) % kDepth * kPieces + p) * kThreads];
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const uint4 &high = x_high[p][i / 2], &low = x_low[p][i / 2];
#pragma unroll
          for (int g = 0; g < kGroup; ++g) {
            const uint32_t four = i == 0 ? w[g].x : i == 1 ? w[g].y : i == 2 ? w[g].z : w[g].w;
            mma_f16(c[g], i % 2 == 0 ? high.x : high.z, i % 2 == 0 ? low.x : low.z,
                    i % 2 == 0 ? high.y : high.w, i % 2 == 0 ? low.y : low.w, unpack_two(four),
                    unpack_two(four >> 16));
          }
        }
      }
      // The diagonal: columns 2t and 2t + 1 are in lane t of a quad.
      const int quad = lane / 4;
#pragma unroll
      for (int g = 0; g < kGroup; ++g) {
        const float own = quad % 2 == 0 ? c[g][0] + c[g][2] : c[g][1] + c[g][3];
        dots[b + g] = quad / 2 == lane % 4 ? own : 0.0F;
      }
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
  // 1 KB: what the kernel has besides its ring. Off Hopper that may be too much.
  if (ring_bytes(pieces(kWarps)) + 1024 > ctx.most_shared_bytes) return false;
  return launch_for<kWarps>(ctx, p, gate_up, pieces(kWarps),
                            std::make_integer_sequence<int, kMaxPieces>{});
}

}  // namespace reattn::kernels::cuda
