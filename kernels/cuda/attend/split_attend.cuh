// Device code of attention for few queries. A block takes a part of the set for some KV heads and up to four rows (pairs of a query
// and a query head of the KV head): chunks of keys, values and angles are copied into shared memory, and each warp goes through its
// share of them for one KV head. Keys are rotated as they are read, sums are f32. What the warps found is joined in the block, what
// the blocks found by a second kernel.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cuda {

constexpr int32_t kAttendBatch = 32;   // sequences of one launch
constexpr int32_t kAttendRows = 4;
constexpr int32_t kAttendWarps = 8;    // of a block at most

struct AttendSequence {
  void* const* k;              // [n_pages]
  void* const* v;              // [n_pages]
  const float* q;              // [n_queries, n_heads, head_dim]
  float* out;                  // [n_queries, n_heads, head_dim]
  const int32_t* recalled;     // [*n_recalled]
  const int32_t* n_recalled;   // may be null
  const float* cos;            // [n_positions, head_dim / 2]
  const float* sin;            // [n_positions, head_dim / 2]
  int32_t n_tokens, n_global, local_begin;
  float scale;
};

// Grid: (splits of the set, groups of KV heads · blocks of rows, sequences).
struct AttendBatch {
  AttendSequence sequences[kAttendBatch];
  float* sums;                 // [sequence, query, head, split, head_dim] unscaled
  float2* weights;             // [sequence, query, head, split] largest exponent, sum
  int32_t n_queries, n_heads, n_kv_heads, group, head_dim;
  int32_t n_row_blocks;
  int32_t heads_per_block;     // KV heads; divides n_kv_heads
  int32_t warps_per_head;
  int32_t chunk;               // keys that the shared memory takes
  bool interleaved;
};

__device__ inline void copy_async(void* to, const void* from) {  // 16 bytes
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from)
               : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four elements of a page as floats.
template <class T>
__device__ inline float4 load_four(const T* at) {
  if constexpr (sizeof(T) == 4) {
    return *reinterpret_cast<const float4*>(at);
  } else {
    const uint2 raw = *reinterpret_cast<const uint2*>(at);
    if constexpr (std::is_same_v<T, __half>) {
      const float2 a = __half22float2(reinterpret_cast<const __half2&>(raw.x));
      const float2 b = __half22float2(reinterpret_cast<const __half2&>(raw.y));
      return make_float4(a.x, a.y, b.x, b.y);
    } else {
      return make_float4(__uint_as_float(raw.x << 16), __uint_as_float(raw.x & 0xffff0000u),
                         __uint_as_float(raw.y << 16), __uint_as_float(raw.y & 0xffff0000u));
    }
  }
}

// kLanes lanes share a key: lane c of them has its pairs 4 c … 4 c + 3, and dimensions 8 c … 8 c + 7 of the value. kDim 0: any
// head_dim that is a multiple of 8 and at most 8 · kLanes.
template <class T, int kLanes, int kDim>
struct SplitAttend {
  static constexpr int kSlots = 32 / kLanes;      // keys side by side
  static constexpr int kPasses = 4;
  static constexpr int kKeys = kPasses * kSlots;  // of a step
  static constexpr float kNone = -1e30f;          // less than any exponent

  struct Row {
    const T* k;
    const T* v;
  };

  // Of one key in shared memory: its rows of some KV heads, its angles, the address of its rows.
  static size_t key_bytes(int32_t head_dim, int32_t n_heads) {
    return static_cast<size_t>(head_dim) * (2 * n_heads * sizeof(T) + sizeof(float)) + sizeof(Row);
  }
  // Of what the warps hand over for the join: [warp, slot, row, head_dim].
  static size_t join_bytes(int32_t head_dim, int32_t n_warps) {
    return static_cast<size_t>(n_warps) * kSlots * kAttendRows * head_dim * sizeof(float);
  }

  // The cache rows, of KV head 0, of the key at index j of the set.
  __device__ static Row find_row(const AttendSequence& s, int32_t n_recalled, int32_t j, int32_t d) {
    int32_t token = j;
    if (j >= s.n_global) {
      j -= s.n_global;
      token = j < n_recalled ? s.recalled[j] : s.local_begin + (j - n_recalled);
    }
    constexpr auto kPage = static_cast<int32_t>(kPageTokens);
    const int32_t at = token % kPage * d;
    return {static_cast<const T*>(s.k[token / kPage]) + at,
            static_cast<const T*>(s.v[token / kPage]) + at};
  }

  __device__ static void rotate(float4& x, float4& y, const float4& c, const float4& s, bool interleaved) {
    // halves: x and y are the first and second members of four pairs; interleaved: (x.x, x.y), (x.z, x.w), …
    const float4 a = x, b = y;
    if (interleaved) {
      x = make_float4(a.x * c.x - a.y * s.x, a.x * s.x + a.y * c.x, a.z * c.y - a.w * s.y,
                      a.z * s.y + a.w * c.y);
      y = make_float4(b.x * c.z - b.y * s.z, b.x * s.z + b.y * c.z, b.z * c.w - b.w * s.w,
                      b.z * s.w + b.w * c.w);
    } else {
      x = make_float4(a.x * c.x - b.x * s.x, a.y * c.y - b.y * s.y, a.z * c.z - b.z * s.z,
                      a.w * c.w - b.w * s.w);
      y = make_float4(a.x * s.x + b.x * c.x, a.y * s.y + b.y * c.y, a.z * s.z + b.z * c.z,
                      a.w * s.w + b.w * c.w);
    }
  }

  __device__ static float dot(const float4& a, const float4& b, const float4& c, const float4& d) {
    return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w + c.x * d.x + c.y * d.y + c.z * d.z +
           c.w * d.w;
  }

  // Sums of four rows over the kLanes lanes; lane ℓ gets row 2 (ℓ & 1) + (ℓ >> 1 & 1).
  __device__ static float reduce(const float (&a)[kAttendRows], int32_t lane) {
    const bool bit0 = (lane & 1) != 0, bit1 = (lane & 2) != 0;
    float x = bit0 ? a[2] : a[0], y = bit0 ? a[3] : a[1];
    x += __shfl_xor_sync(~0u, bit0 ? a[0] : a[2], 1);
    y += __shfl_xor_sync(~0u, bit0 ? a[1] : a[3], 1);
    float sum = (bit1 ? y : x) + __shfl_xor_sync(~0u, bit1 ? x : y, 2);
#pragma unroll
    for (int distance = 4; distance < kLanes; distance *= 2) {
      sum += __shfl_xor_sync(~0u, sum, distance);
    }
    return sum;
  }
  __device__ static int32_t lane_of_row(int32_t lane, int row) {
    return (lane & ~3) | row >> 1 | (row & 1) << 1;
  }

  // The parts of the block's shared memory.
  struct Shared {
    Row* rows;    // [chunk]
    float* cos;   // [chunk, head_dim / 2]
    float* sin;   // [chunk, head_dim / 2]
    T* k;         // [chunk, heads_per_block, head_dim]
    T* v;         // [chunk, heads_per_block, head_dim]
    float* sums;  // over all of it, at the end: [warp, slot, row, head_dim]
  };
  __device__ static Shared lay_out(const AttendBatch& b, unsigned char* memory, int32_t d) {
    Shared s{};
    s.rows = reinterpret_cast<Row*>(memory);
    s.cos = reinterpret_cast<float*>(s.rows + b.chunk);
    s.sin = s.cos + b.chunk * (d / 2);
    s.k = reinterpret_cast<T*>(s.sin + b.chunk * (d / 2));
    s.v = s.k + b.chunk * b.heads_per_block * d;
    s.sums = reinterpret_cast<float*>(memory);
    return s;
  }

  // Starts the copies of keys [begin, begin + n) of the set, in two groups: all but the values, and the values.
  __device__ static void copy_chunk(const AttendBatch& b, const AttendSequence& s, const Shared& shared,
                                    int32_t n_recalled, int32_t first_head, int32_t begin, int32_t n,
                                    int32_t d) {
    const int32_t me = threadIdx.x, n_threads = blockDim.x;
    for (int32_t i = me; i < n; i += n_threads) {
      shared.rows[i] = find_row(s, n_recalled, begin + i, d);
    }
    const int32_t half = d / 2;
    for (int32_t i = me; i < n * half / 4; i += n_threads) {
      copy_async(shared.cos + 4 * i, s.cos + static_cast<int64_t>(begin) * half + 4 * i);
      copy_async(shared.sin + 4 * i, s.sin + static_cast<int64_t>(begin) * half + 4 * i);
    }
    __syncthreads();
    constexpr int kPerCopy = 16 / sizeof(T);
    const int32_t n_pieces = d / kPerCopy, n_rows = n * b.heads_per_block;
    const int64_t head_stride = kPageTokens * d;
    for (int which = 0; which < 2; ++which) {
      T* to = which == 0 ? shared.k : shared.v;
      for (int32_t i = me; i < n_rows * n_pieces; i += n_threads) {
        const int32_t row = i / n_pieces, piece = i % n_pieces;
        const int32_t key = row / b.heads_per_block, head = row % b.heads_per_block;
        const T* from = which == 0 ? shared.rows[key].k : shared.rows[key].v;
        copy_async(to + i * kPerCopy, from + (first_head + head) * head_stride + piece * kPerCopy);
      }
      commit_copies();
    }
  }

  __device__ static void run(const AttendBatch& b, unsigned char* memory) {
    const AttendSequence& s = b.sequences[blockIdx.z];
    const int32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int32_t slot = lane / kLanes, c = lane % kLanes;
    const int32_t d = kDim != 0 ? kDim : b.head_dim, half = d / 2;
    const bool is_active = kDim == 8 * kLanes || 8 * c < d;
    const int32_t row_block = blockIdx.y % b.n_row_blocks;
    const int32_t first_head = blockIdx.y / b.n_row_blocks * b.heads_per_block;
    const int32_t head_in_block = warp / b.warps_per_head, slice = warp % b.warps_per_head;
    const int32_t kv_head = first_head + head_in_block;
    const Shared shared = lay_out(b, memory, d);
    const int32_t n_recalled = s.n_recalled == nullptr ? 0 : *s.n_recalled;
    const int32_t scope = s.n_global + n_recalled + s.n_tokens - s.local_begin;
    const auto begin = static_cast<int32_t>(static_cast<int64_t>(scope) * blockIdx.x / gridDim.x);
    const auto end = static_cast<int32_t>(static_cast<int64_t>(scope) * (blockIdx.x + 1) / gridDim.x);
    const int32_t n_chunks = (end - begin + b.chunk - 1) / b.chunk;
    const auto chunk_begin = [&](int32_t i) { return begin + (end - begin) * i / n_chunks; };
    if (n_chunks > 0) {
      copy_chunk(b, s, shared, n_recalled, first_head, begin, chunk_begin(1) - begin, d);
    }

    // Element i of a lane's part: halves, 4 c + i and half + 4 c + i; interleaved, 8 c + i and 8 c + 4 + i.
    const int32_t x_at = b.interleaved ? 8 * c : 4 * c, y_at = b.interleaved ? 8 * c + 4 : half + 4 * c;
    float4 qx[kAttendRows], qy[kAttendRows];
    int32_t limit = 0;  // of the row that this lane reduces to: it sees the first so many of the set
    const int32_t n_rows = b.group * b.n_queries;
#pragma unroll
    for (int r = 0; r < kAttendRows; ++r) {  // rows beyond the last are computed and not used
      const int32_t row = min(row_block * kAttendRows + r, n_rows - 1);
      const float* q =
          s.q + (static_cast<int64_t>(row / b.group) * b.n_heads + kv_head * b.group + row % b.group) * d;
      qx[r] = load_four(q + (is_active ? x_at : 0));
      qy[r] = load_four(q + (is_active ? y_at : 0));
    }
#pragma unroll
    for (int r = 0; r < kAttendRows; ++r) {
      const int32_t row = min(row_block * kAttendRows + r, n_rows - 1);
      const int32_t seen = scope - b.n_queries + row / b.group + 1;
      if (r == 2 * (lane & 1) + (lane >> 1 & 1)) limit = seen;
      const auto angle = static_cast<int64_t>(seen - 1) * half + (is_active ? 4 * c : 0);
      rotate(qx[r], qy[r], load_four(s.cos + angle), load_four(s.sin + angle), b.interleaved);
      const float scale = is_active ? s.scale * 1.44269504088896340736f : 0;  // exponents are of 2
      float* all[2] = {&qx[r].x, &qy[r].x};
#pragma unroll
      for (int i = 0; i < 8; ++i) all[i / 4][i % 4] *= scale;
    }

    float acc[kAttendRows][8] = {};
    float most = kNone, sum = 0;  // of this lane's row; the sum over this slot's keys
    for (int32_t chunk = 0; chunk < n_chunks; ++chunk) {
      const int32_t first = chunk_begin(chunk), n = chunk_begin(chunk + 1) - first;
      if (chunk > 0) {
        __syncthreads();  // the chunk before has been read
        copy_chunk(b, s, shared, n_recalled, first_head, first, n, d);
      }
      wait_copies<1>();
      __syncthreads();
      const int32_t my_end = n * (slice + 1) / b.warps_per_head;
      bool has_values = false;
      for (int32_t key0 = n * slice / b.warps_per_head; key0 < my_end || !has_values; key0 += kKeys) {
        float p[kPasses];
        float step_most = kNone;
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
          const int32_t key = key0 + pass * kSlots + slot, in_chunk = min(key, n - 1);
          float4 x = make_float4(0, 0, 0, 0), y = x, cosines = x, sines = x;
          if (is_active) {
            const T* k = shared.k + (in_chunk * b.heads_per_block + head_in_block) * d;
            x = load_four(k + x_at);
            y = load_four(k + y_at);
            cosines = load_four(shared.cos + in_chunk * half + 4 * c);
            sines = load_four(shared.sin + in_chunk * half + 4 * c);
          }
          rotate(x, y, cosines, sines, b.interleaved);
          float dots[kAttendRows];
#pragma unroll
          for (int r = 0; r < kAttendRows; ++r) dots[r] = dot(x, qx[r], y, qy[r]);
          p[pass] = reduce(dots, lane);
          if (key >= my_end || first + key >= limit) p[pass] = -INFINITY;
          step_most = fmaxf(step_most, p[pass]);
        }
#pragma unroll
        for (int distance = kLanes; distance < 32; distance *= 2) {
          step_most = fmaxf(step_most, __shfl_xor_sync(~0u, step_most, distance));
        }
        if (__any_sync(~0u, step_most > most)) {
          const float new_most = fmaxf(most, step_most);
          const float factor = exp2f(most - new_most);
          most = new_most;
          sum *= factor;
#pragma unroll
          for (int r = 0; r < kAttendRows; ++r) {
            const float of_row = __shfl_sync(~0u, factor, lane_of_row(lane, r));
#pragma unroll
            for (float& x : acc[r]) x *= of_row;
          }
        }
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
          p[pass] = exp2f(p[pass] - most);
          sum += p[pass];
        }
        if (!has_values) {
          wait_copies<0>();
          __syncthreads();
          has_values = true;
        }
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
          const int32_t in_chunk = min(key0 + pass * kSlots + slot, n - 1);
          const T* v = shared.v + (in_chunk * b.heads_per_block + head_in_block) * d + 8 * c;
          float4 x = make_float4(0, 0, 0, 0), y = x;
          if (is_active) {
            x = load_four(v);
            y = load_four(v + 4);
          }
          const float values[8] = {x.x, x.y, x.z, x.w, y.x, y.y, y.z, y.w};
#pragma unroll
          for (int r = 0; r < kAttendRows; ++r) {
            const float weight = __shfl_sync(~0u, p[pass], lane_of_row(lane, r));
#pragma unroll
            for (int i = 0; i < 8; ++i) acc[r][i] += weight * values[i];
          }
        }
      }
    }

    __shared__ float2 of_warps[kAttendWarps][kAttendRows];
#pragma unroll
    for (int distance = kLanes; distance < 32; distance *= 2) {
      sum += __shfl_xor_sync(~0u, sum, distance);
    }
    if (lane < kAttendRows) of_warps[warp][2 * (lane & 1) + (lane >> 1)] = make_float2(most, sum);
    __syncthreads();  // the chunks have been read
    if (is_active) {
#pragma unroll
      for (int r = 0; r < kAttendRows; ++r) {
        float* at = shared.sums + ((warp * kSlots + slot) * kAttendRows + r) * d + 8 * c;
        *reinterpret_cast<float4*>(at) = make_float4(acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
        *reinterpret_cast<float4*>(at + 4) = make_float4(acc[r][4], acc[r][5], acc[r][6], acc[r][7]);
      }
    }
    __syncthreads();
    join_warps(b, shared.sums, of_warps, row_block, first_head);
  }

  __device__ static void join_warps(const AttendBatch& b, const float* sums,
                                    const float2 (&of_warps)[kAttendWarps][kAttendRows],
                                    int32_t row_block, int32_t first_head) {
    const int32_t d = kDim != 0 ? kDim : b.head_dim, n_rows = b.group * b.n_queries;
    for (int32_t item = threadIdx.x; item < b.heads_per_block * kAttendRows * d; item += blockDim.x) {
      const int32_t i = item % d, r = item / d % kAttendRows, h = item / d / kAttendRows;
      const int32_t row = row_block * kAttendRows + r;
      if (row >= n_rows) continue;
      const int32_t first = h * b.warps_per_head;
      float most = kNone;
      for (int32_t w = 0; w < b.warps_per_head; ++w) most = fmaxf(most, of_warps[first + w][r].x);
      float total = 0, weight = 0;
      for (int32_t w = 0; w < b.warps_per_head; ++w) {
        const float factor = exp2f(of_warps[first + w][r].x - most);
        float of_warp = 0;
#pragma unroll
        for (int slot = 0; slot < kSlots; ++slot) {
          of_warp += sums[(((first + w) * kSlots + slot) * kAttendRows + r) * d + i];
        }
        total += factor * of_warp;
        weight += factor * of_warps[first + w][r].y;
      }
      const int64_t out = ((static_cast<int64_t>(blockIdx.z) * b.n_queries + row / b.group) * b.n_heads +
                           (first_head + h) * b.group + row % b.group) * gridDim.x + blockIdx.x;
      b.sums[out * d + i] = total;
      if (i == 0) b.weights[out] = make_float2(most, weight);
    }
  }
};

}  // namespace reattn::kernels::cuda
