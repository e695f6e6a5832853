// The settings of the method (ReAttention, arXiv 2407.15176, section 3) for one session.
#pragma once

#include <cstdint>

#include "reattn/kernels/types.hpp"

namespace reattn::select {

enum class Selection : int32_t {
  kFull = 0,    // plain attention over everything; only inside the trained window
  kExact = 1,   // the top_k middle positions of each query and head
  kBlock1 = 2,  // at most one position of each 128 (the published kernel's habit)
};

// What queries and keys are compared in.
enum class Scoring : int32_t {
  kNative = 0,  // as the cache holds them
  kInt8 = 1,    // in int8, keys of complete blocks of 128 positions; the cache holds these besides
};

struct Settings {
  int64_t n_global = 32;    // first tokens, always attended to
  int64_t n_local = 4096;   // last tokens, the step's own included
  int32_t top_k = 4;        // picks of each query and head, 1 … 16
  int32_t span = 32;        // tokens recalled around each anchor
  int32_t n_anchors = 127;  // positions with most votes that are recalled; 0: nothing
  int32_t chunk = 512;      // tokens of one prefill step
  int32_t vote_stride = 1;  // every vote_stride-th query votes, counted from the last
  Selection selection = Selection::kExact;
  kernels::DType kv_dtype = kernels::DType::kF16;  // kF32, kF16, or where the device has it kBF16
  // Keys and values of complete blocks of 128 positions in int8; of the others in kv_dtype. With scoring kInt8 only.
  bool int8_cache = false;
  Scoring scoring = Scoring::kNative;  // kInt8: where the device has it
  int64_t max_tokens = 0;              // the session's capacity; 0: as much as memory holds
  bool operator==(const Settings&) const = default;
};

bool is_cache_type(kernels::DType dtype);
bool is_scoring(Scoring scoring);

// Most tokens that one step attends to.
int64_t scope(const Settings& s);

// The published settings for a model trained on a window of n_window tokens.
Settings default_settings(int64_t n_window);

// Throws Error(kArg) naming the setting, its value and its bound.
void check(const Settings& s, int64_t n_window);

// Where the cache of one step is split. An empty middle means plain attention over everything.
struct Split {
  int64_t n_tokens;      // in the cache, the step's own included
  int64_t middle_begin;  // = n_global
  int64_t middle_end;    // = where local begins
  bool has_middle() const { return middle_end > middle_begin; }
};
Split split(int64_t n_tokens, const Settings& s);

}  // namespace reattn::select
