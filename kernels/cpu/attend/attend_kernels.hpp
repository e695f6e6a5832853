// The parts of an attention call: gathering a KV head's set, tiles of many rows, streaming for few.
#pragma once

#include <atomic>
#include <cstdint>

#include "reattn/kernels/attend.hpp"

namespace reattn::kernels::cpu {

constexpr int64_t kWidestTile = 32;     // columns of a register tile on any target divide this
constexpr int64_t kRowStep = 12;        // and its rows this
constexpr int64_t kKeyBlock = 128;      // keys between two updates of the running softmax
constexpr int64_t kMaxStreamGroup = 8;  // query heads of a KV head for which one query is streamed
static_assert(kKeyBlock % kWidestTile == 0);

// The set of positions, in order.
struct AttendSet {
  const AttendArgs* args;
  int64_t n_recalled;
  int64_t scope;

  int64_t position(int64_t j) const {
    if (j < args->n_global) return j;
    j -= args->n_global;
    return j < n_recalled ? args->recalled[j] : args->local_begin + j - n_recalled;
  }
};

// One KV head's set as the tiles want it. Padding is zero.
struct GatheredHead {
  float* k;  // [padded / tile, head_dim, tile] rotated
  float* v;  // [padded_dim / tile, padded, tile]
};

inline int64_t padded_scope(int64_t scope) {
  return (scope + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
}
inline int64_t padded_dim(int64_t head_dim) {
  return (head_dim + kWidestTile - 1) / kWidestTile * kWidestTile;
}

// Gathers the set's [begin, end) of one KV head; begin is a multiple of kKeyBlock, and so is end unless it is
// the scope. scratch: [kWidestTile + 1, head_dim].
void gather(const AttendSet& set, int32_t kv_head, int64_t begin, int64_t end, GatheredHead to,
            float* scratch);

// A block of query rows of one KV head; row i · group + g is query i, head g.
struct AttendRows {
  const AttendSet* set;
  GatheredHead from;
  int32_t kv_head;
  int64_t row_begin, row_end;
  float* scratch;                   // [attend_scratch(...)]
  const std::atomic<bool>* cancel;  // may be null; where true the rows are left unfinished
};
inline int64_t attend_scratch(int64_t n_rows, int64_t head_dim) {
  return (n_rows + kRowStep) * (head_dim + padded_dim(head_dim) + kKeyBlock + 3) + 2 * head_dim;
}
void attend_tiles(const AttendRows& rows);

// What one query's heads of one KV head found in a part of the set: softmax numerators relative to 2^largest.
struct AttendPart {
  const AttendSet* set;
  int32_t kv_head;
  int64_t begin, end;  // of the set
  float* largest;      // [group]
  float* sum;          // [group]
  float* out;          // [group, head_dim] weighted sum of values
  float* scratch;      // [stream_scratch(...)]
};
inline int64_t stream_scratch(int64_t group, int64_t head_dim) {
  return (2 * kKeyBlock + group + 3) * head_dim + group * kKeyBlock;
}
void attend_streamed(const AttendPart& part);

}  // namespace reattn::kernels::cpu
