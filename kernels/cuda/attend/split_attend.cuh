// Device code of attention for few queries. A block takes a part of the set for some KV heads and up to four rows (pairs of a query
// and a query head of the KV head), chunk by chunk: the block copies a chunk's angles and the addresses of its keys into shared
// memory, each warp the keys and values of its share for one KV head, a step ahead of its arithmetic. Keys are rotated as they are
// read, sums are f32. Rows in int8 are multiplied as the integers they are; their scale goes to the score, and to the weight of the
// value. What the warps found is joined in the block, what the blocks found by a second kernel.
#pragma once

#include "kernels/cuda/attend/row_loads.cuh"
#include "kernels/cuda/prim/int8.cuh"
#include "kernels/cuda/prim/early_launch.cuh"
#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cuda {

constexpr int32_t kAttendBatch = 32;   // sequences of one launch
constexpr int32_t kAttendRows = 4;
constexpr int32_t kAttendWarps = 8;    // of a block at most

struct AttendSequence {
  void* const* k;              // [n_pages]
  void* const* v;              // [n_pages]
  void* const* k8;             // [n_pages] the same in int8, of positions below int8_end
  void* const* v8;             // [n_pages]
  const float* q;              // [n_queries, n_heads, head_dim]
  float* out;                  // [n_queries, n_heads, head_dim]
  const int32_t* recalled;     // [*n_recalled]
  const int32_t* n_recalled;   // may be null
  const float* cos;            // [n_positions, head_dim / 2]
  const float* sin;            // [n_positions, head_dim / 2]
  int32_t n_tokens, n_global, local_begin, int8_end;
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
  int32_t chunk;               // keys of a chunk: a power of two, a multiple of warps_per_head steps
  bool interleaved;
};

// kLanes lanes share a key: lane c of them has its pairs 4 c … 4 c + 3, and dimensions 8 c … 8 c + 7 of the value. kDim 0: any
// head_dim that is a multiple of 8 and at most 8 · kLanes. kInt8: rows below int8_end are in int8.
template <class T, int kLanes, int kDim, bool kInt8>
struct SplitAttend {
  static constexpr int kSlots = 32 / kLanes;      // keys side by side
  static constexpr int kPasses = 4;
  static constexpr int kKeys = kPasses * kSlots;  // of a step
  static constexpr float kNone = -1e30f;          // less than any exponent
  static constexpr bool kWholeRows = kInt8 && kDim == 8 * kLanes;  // int8 rows are copied by 16 bytes

  // What a block has in shared memory. Chunk i is in part i modulo the number of parts.
  struct Shared {
    unsigned long long* pages;  // [4, chunk, 2] addresses of the pages of keys and of values
    int32_t* tokens;            // [4, chunk]
    float* angles;              // [2, 2, chunk, head_dim / 2] cosines, sines
    T* ring;                    // of this warp: [2, 2, step, head_dim] keys, values; of rows in int8 see int8_row
    float* scales;              // of this warp: [2, 2, step] of int8 keys, values
    float* sums;                // over all of it, at the end: [warp, slot, row, head_dim]
  };
  static size_t shared_bytes(int32_t head_dim, int32_t chunk, int32_t n_warps) {
    const size_t d = head_dim;
    const size_t chunks = static_cast<size_t>(chunk) * (4 * 20 + 2 * d * sizeof(float));
    const size_t of_key = d * sizeof(T) + (kInt8 ? sizeof(float) : 0);
    const size_t rings = static_cast<size_t>(n_warps) * 4 * kKeys * of_key;
    const size_t sums = static_cast<size_t>(n_warps) * kSlots * kAttendRows * d * sizeof(float);
    return chunks + rings > sums ? chunks + rings : sums;
  }
  __device__ static Shared lay_out(unsigned char* memory, int32_t chunk, int32_t d) {
    const auto warp = static_cast<int32_t>(threadIdx.x / 32), n_warps = static_cast<int32_t>(blockDim.x / 32);
    Shared s{};
    s.pages = reinterpret_cast<unsigned long long*>(memory);
    s.tokens = reinterpret_cast<int32_t*>(s.pages + 8 * chunk);
    s.angles = reinterpret_cast<float*>(s.tokens + 4 * chunk);
    auto* rings = reinterpret_cast<T*>(s.angles + 2 * chunk * d);
    s.ring = rings + warp * (4 * kKeys * d);
    s.scales = reinterpret_cast<float*>(rings + n_warps * (4 * kKeys * d)) + warp * (4 * kKeys);
    s.sums = reinterpret_cast<float*>(memory);
    return s;
  }

  // Of a key in int8; its value's is value_bytes behind it. Rows are so far apart that slots read from different banks.
  // The set ascends: in a pass no row in int8 follows one that is not, so that the two do not overlap.
  __device__ static int8_t* int8_row(T* ring, int32_t step, int32_t pass, int32_t slot, int32_t d) {
    const int32_t row = kDim != 0 ? kDim * 3 / 2 : d * static_cast<int32_t>(sizeof(T));
    return reinterpret_cast<int8_t*>(ring + ((step & 1) * 2 * kKeys + pass * kSlots) * d) + slot * row;
  }

  __device__ static int32_t value_bytes(int32_t d) { return kKeys * d * static_cast<int32_t>(sizeof(T)); }

  // Of key i of a step, or of its value (which 1); `at` is where the key's page and token are.
  __device__ static void copy_scale(const AttendBatch& b, const Shared& shared, int32_t step, int32_t i,
                                    int32_t at, int32_t which, int32_t kv_head) {
    const auto* page = reinterpret_cast<const void*>(shared.pages[2 * at + which]);
    copy_async<4>(shared.scales + ((step & 1) * 2 + which) * kKeys + i,
                  int8_scales(page, b.n_kv_heads, kDim != 0 ? kDim : b.head_dim) +
                      int8_scale_index(kv_head, static_cast<uint32_t>(shared.tokens[at])));
  }
  // A step whose keys are all in int8: half of the lanes copy the keys, half the values.
  __device__ static void copy_int8(const AttendBatch& b, const Shared& shared, int32_t step, int32_t first_at,
                                   int32_t kv_head) {
    const auto lane = static_cast<int32_t>(threadIdx.x % 32);
    const int32_t slot = lane / kLanes, which = lane % kLanes / (kLanes / 2), i = 16 * (lane % (kLanes / 2));
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const int32_t at = first_at + pass * kSlots + slot;
      const auto* page = reinterpret_cast<const int8_t*>(shared.pages[2 * at + which]);
      const int32_t token = kv_head * static_cast<int32_t>(kPageTokens) +
                            shared.tokens[at] % static_cast<int32_t>(kPageTokens);
      copy_async<16>(int8_row(shared.ring, step, pass, slot, kDim) + which * value_bytes(kDim) + i,
                     page + token * kDim + i);
    }
    if (lane < 2 * kKeys) copy_scale(b, shared, step, lane / 2, first_at + lane / 2, lane % 2, kv_head);
  }

  // The part of the set that a block has.
  struct Part {
    int32_t begin, end;
    int32_t n_recalled, scope;
  };

  // What is copied for a chunk: tokens, then pages, then angles, keys and values. Keys beyond the end repeat the last.
  __device__ static void copy_tokens(const AttendBatch& b, const AttendSequence& s, const Shared& shared,
                                     const Part& part, int32_t chunk) {
    const auto i = static_cast<int32_t>(threadIdx.x);
    if (i >= b.chunk) return;
    int32_t j = min(part.begin + chunk * b.chunk + i, part.end - 1);
    int32_t* to = shared.tokens + (chunk & 3) * b.chunk + i;
    if (j < s.n_global) {
      *to = j;
    } else if ((j -= s.n_global) < part.n_recalled) {
      copy_async<4>(to, s.recalled + j);
    } else {
      *to = s.local_begin + (j - part.n_recalled);
    }
  }
  __device__ static void copy_pages(const AttendBatch& b, const AttendSequence& s, const Shared& shared,
                                    int32_t chunk) {
    const auto i = static_cast<int32_t>(threadIdx.x);
    if (i >= b.chunk) return;
    const int32_t at = (chunk & 3) * b.chunk + i;  // of a token that this thread copied
    const int32_t page = shared.tokens[at] / static_cast<int32_t>(kPageTokens);
    const bool is_int8 = kInt8 && shared.tokens[at] < s.int8_end;
    copy_async<8>(shared.pages + 2 * at, (is_int8 ? s.k8 : s.k) + page);
    copy_async<8>(shared.pages + 2 * at + 1, (is_int8 ? s.v8 : s.v) + page);
  }
  __device__ static void copy_angles(const AttendBatch& b, const AttendSequence& s, const Shared& shared,
                                     const Part& part, int32_t chunk, int32_t half) {
    const int32_t first = part.begin + chunk * b.chunk;
    const int32_t n = min(b.chunk, part.end - first) * half;
    float* to = shared.angles + (chunk & 1) * 2 * b.chunk * half;
    const float* cosines = s.cos + static_cast<int64_t>(first) * half;
    const float* sines = s.sin + static_cast<int64_t>(first) * half;
    for (auto i = static_cast<int32_t>(4 * threadIdx.x); i < n; i += 4 * blockDim.x) {
      copy_async<16>(to + i, cosines + i);
      copy_async<16>(to + b.chunk * half + i, sines + i);
    }
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

  __device__ static void run(const AttendBatch& b, unsigned char* memory) {
    const AttendSequence& s = b.sequences[blockIdx.z];
    const int32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int32_t slot = lane / kLanes, c = lane % kLanes;
    const int32_t d = kDim != 0 ? kDim : b.head_dim, half = d / 2;
    const bool is_active = kDim == 8 * kLanes || 8 * c < d;
    const int32_t row_block = blockIdx.y % b.n_row_blocks;
    const int32_t first_head = blockIdx.y / b.n_row_blocks * b.heads_per_block;
    const int32_t slice = warp % b.warps_per_head, kv_head = first_head + warp / b.warps_per_head;
    const Shared shared = lay_out(memory, b.chunk, d);
    wait_for_previous();
    let_next_start();
    Part part;
    part.n_recalled = s.n_recalled == nullptr ? 0 : *s.n_recalled;
    part.scope = s.n_global + part.n_recalled + s.n_tokens - s.local_begin;
    part.begin = static_cast<int32_t>(static_cast<int64_t>(part.scope) * blockIdx.x / gridDim.x);
    part.end = static_cast<int32_t>(static_cast<int64_t>(part.scope) * (blockIdx.x + 1) / gridDim.x);
    const bool is_empty = part.begin == part.end;
    if (!is_empty) {
      for (int32_t chunk = 0; chunk < 3; ++chunk) copy_tokens(b, s, shared, part, chunk);
      wait_copies();
      copy_pages(b, s, shared, 0);
      copy_pages(b, s, shared, 1);
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
      const int32_t seen = part.scope - b.n_queries + row / b.group + 1;
      if (r == 2 * (lane & 1) + (lane >> 1 & 1)) limit = seen;
      const auto angle = static_cast<int64_t>(seen - 1) * half + (is_active ? 4 * c : 0);
      rotate(qx[r], qy[r], load_four(s.cos + angle), load_four(s.sin + angle), b.interleaved);
      const float scale = is_active ? s.scale * 1.44269504088896340736f : 0;  // exponents are of 2
      float* all[2] = {&qx[r].x, &qy[r].x};
#pragma unroll
      for (int i = 0; i < 8; ++i) all[i / 4][i % 4] *= scale;
    }

    // Steps of this warp: those of its slice, chunk by chunk.
    const int32_t steps_shift = 31 - __clz(b.chunk / (b.warps_per_head * kKeys));
    const int32_t n_steps =
        is_empty ? 0 : (part.end - part.begin + b.chunk - 1) / b.chunk << steps_shift;
    const auto in_chunk = [&](int32_t step) {  // the first key of a step
      return ((step & ((1 << steps_shift) - 1)) * b.warps_per_head + slice) * kKeys;
    };
    // Returns whether all its keys are in int8, and were copied by copy_int8.
    const auto copy_step = [&](int32_t step) {
      const int32_t chunk = step >> steps_shift, first = in_chunk(step);
      if (step >= n_steps || part.begin + chunk * b.chunk + first >= part.end) return false;
      const int32_t first_at = (chunk & 3) * b.chunk + first;
      if constexpr (kWholeRows) {
        if (__all_sync(~0u, shared.tokens[first_at + lane % kKeys] < s.int8_end)) {
          copy_int8(b, shared, step, first_at, kv_head);
          return true;
        }
      }
      T* to = shared.ring + (step & 1) * 2 * kKeys * d + slot * d + 8 * c;
      const int32_t of_lane = kv_head * static_cast<int32_t>(kPageTokens) * d + 8 * c;
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        const int32_t at = first_at + pass * kSlots + slot;
        const ulonglong2 pages = reinterpret_cast<const ulonglong2*>(shared.pages)[at];
        const int32_t token = shared.tokens[at];
        const int32_t row = (token % static_cast<int32_t>(kPageTokens)) * d + of_lane;
        if (kInt8 && token < s.int8_end) {
          if (c < 2) copy_scale(b, shared, step, pass * kSlots + slot, at, c, kv_head);
          if (!is_active) continue;
          int8_t* row_to = int8_row(shared.ring, step, pass, slot, d) + 8 * c;
          copy_async<8>(row_to, reinterpret_cast<const int8_t*>(pages.x) + row);
          copy_async<8>(row_to + value_bytes(d), reinterpret_cast<const int8_t*>(pages.y) + row);
          continue;
        }
        if (!is_active) continue;
#pragma unroll
        for (int i = 0; i < 8; i += 16 / sizeof(T)) {
          copy_async<16>(to + pass * kSlots * d + i, reinterpret_cast<const T*>(pages.x) + row + i);
          copy_async<16>(to + (kKeys + pass * kSlots) * d + i,
                         reinterpret_cast<const T*>(pages.y) + row + i);
        }
      }
      return false;
    };
    bool next_is_int8 = false;
    if (!is_empty) {
      wait_copies();
      __syncthreads();
      copy_angles(b, s, shared, part, 0, half);
      next_is_int8 = copy_step(0);
    }

    float acc[kAttendRows][8] = {};
    float most = kNone, sum = 0;  // of this lane's row; the sum over this slot's keys
    // kWhole: all keys are in int8.
    const auto add_step = [&](int32_t step, auto whole) {
      constexpr bool kWhole = decltype(whole)::value;
      const int32_t chunk = step >> steps_shift, first = in_chunk(step);
      const int32_t first_j = part.begin + chunk * b.chunk + first;
      const T* keys = shared.ring + (step & 1) * 2 * kKeys * d + slot * d;
      const T* values_of = keys + kKeys * d + 8 * c;
      const float* angles =
          shared.angles + ((chunk & 1) * 2 * b.chunk + first + slot) * half + (is_active ? 4 * c : 0);
      // Of int8 rows, a bit a pass; and the scales of keys and, kKeys on, of values.
      uint32_t in_int8 = kWhole ? (1u << kPasses) - 1 : 0;
      const float* scales = shared.scales + (step & 1) * 2 * kKeys + slot;
      if constexpr (kInt8 && !kWhole) {
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
          const int32_t at = (chunk & 3) * b.chunk + first + pass * kSlots + slot;
          in_int8 |= static_cast<uint32_t>(shared.tokens[at] < s.int8_end) << pass;
        }
      }
      float p[kPasses];
      float step_most = kNone;
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        float4 x = make_float4(0, 0, 0, 0), y = x;
        const T* key = keys + pass * kSlots * d;
        const int8_t* key8 = int8_row(shared.ring, step, pass, slot, d);
        const bool is_int8 = kInt8 && (in_int8 >> pass & 1) != 0;
        if (is_int8 && is_active) {
          x = load_four(key8 + x_at);
          y = load_four(key8 + y_at);
        } else if (is_active) {
          x = load_four(key + x_at);
          y = load_four(key + y_at);
        }
        rotate(x, y, load_four(angles + pass * kSlots * half),
               load_four(angles + (b.chunk + pass * kSlots) * half), b.interleaved);
        float dots[kAttendRows];
#pragma unroll
        for (int r = 0; r < kAttendRows; ++r) dots[r] = dot(x, qx[r], y, qy[r]);
        p[pass] = reduce(dots, lane);
        if (is_int8) p[pass] *= scales[pass * kSlots];
        if (first_j + pass * kSlots + slot >= min(limit, part.end)) p[pass] = -INFINITY;
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
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        float values[8] = {}, of_lane = p[pass];
        if (kInt8 && (in_int8 >> pass & 1) != 0) {
          const int8_t* value8 = int8_row(shared.ring, step, pass, slot, d) + value_bytes(d);
          if (is_active) load_eight(values, value8 + 8 * c);
          of_lane *= scales[kKeys + pass * kSlots];
        } else if (is_active) {
          load_eight(values, values_of + pass * kSlots * d);
        }
#pragma unroll
        for (int r = 0; r < kAttendRows; ++r) {
          const float weight = __shfl_sync(~0u, of_lane, lane_of_row(lane, r));
#pragma unroll
          for (int i = 0; i < 8; ++i) acc[r][i] += weight * values[i];
        }
      }
    };
    for (int32_t step = 0; step < n_steps; ++step) {
      const int32_t chunk = step >> steps_shift;
      wait_copies();
      if ((step & ((1 << steps_shift) - 1)) == 0) {  // the chunk is visible, the one before has been read
        __syncthreads();
        copy_angles(b, s, shared, part, chunk + 1, half);
        copy_pages(b, s, shared, chunk + 2);
        copy_tokens(b, s, shared, part, chunk + 3);
      } else {
        __syncwarp();
      }
      const bool is_int8 = next_is_int8;
      next_is_int8 = copy_step(step + 1);
      if (part.begin + chunk * b.chunk + in_chunk(step) >= part.end) continue;
      if (kWholeRows && is_int8) {
        add_step(step, std::bool_constant<kWholeRows>());
      } else {
        add_step(step, std::false_type());
      }
    }
    wait_copies();  // what was copied for chunks that do not exist

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
    const int32_t fours = d / 4, n_items = b.heads_per_block * kAttendRows * fours;
    const auto* all = reinterpret_cast<const float4*>(sums);
    for (auto item = static_cast<int32_t>(threadIdx.x); item < n_items; item += blockDim.x) {
      const int32_t i = item % fours, r = item / fours % kAttendRows, h = item / fours / kAttendRows;
      const int32_t row = row_block * kAttendRows + r;
      if (row >= n_rows) continue;
      const int32_t first = h * b.warps_per_head;
      float most = kNone;
      for (int32_t w = 0; w < b.warps_per_head; ++w) most = fmaxf(most, of_warps[first + w][r].x);
      float4 total = make_float4(0, 0, 0, 0);
      float weight = 0;
      for (int32_t w = 0; w < b.warps_per_head; ++w) {
        const float factor = exp2f(of_warps[first + w][r].x - most);
        weight += factor * of_warps[first + w][r].y;
#pragma unroll
        for (int slot = 0; slot < kSlots; ++slot) {
          const float4 part = all[(((first + w) * kSlots + slot) * kAttendRows + r) * fours + i];
          total.x += factor * part.x;
          total.y += factor * part.y;
          total.z += factor * part.z;
          total.w += factor * part.w;
        }
      }
      const int64_t out = ((static_cast<int64_t>(blockIdx.z) * b.n_queries + row / b.group) * b.n_heads +
                           (first_head + h) * b.group + row % b.group) * gridDim.x + blockIdx.x;
      reinterpret_cast<float4*>(b.sums)[out * fours + i] = total;
      if (i == 0) b.weights[out] = make_float2(most, weight);
    }
  }
};

}  // namespace reattn::kernels::cuda
