#include "core/select/settings.hpp"

#include <algorithm>

#include "reattn/kernels/error.hpp"

namespace reattn::select {
namespace {

constexpr int64_t kMaxPosition = INT32_MAX;  // positions are 32 bits in device memory

void check_range(std::string_view name, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    fail(ErrorCode::kArg, name, " is ", value, ", allowed are ", low, " to ", high);
  }
}

}  // namespace

bool is_cache_type(kernels::DType t) {
  using kernels::DType;
  return t == DType::kF32 || t == DType::kF16 || t == DType::kBF16;
}

bool is_scoring(Scoring s) {
  return s == Scoring::kNative || s == Scoring::kInt8;
}

int64_t scope(const Settings& s) {
  return s.n_global + int64_t{s.n_anchors} * s.span + s.n_local;
}

Settings default_settings(int64_t n_window) {
  Settings s;
  if (n_window >= 32768) {
    s.n_local = 8192;
    s.n_anchors = 256;
    return s;
  }
  // The published 8K setting (32 + 127 spans of 32 + 4096), in proportion to the window.
  s.n_global = std::min<int64_t>(32, n_window / 4);
  s.n_local = std::max<int64_t>(1, n_window / 2);
  s.chunk = static_cast<int32_t>(std::min<int64_t>(512, s.n_local));
  const int64_t rest = n_window - s.n_global - s.n_local;
  s.span = static_cast<int32_t>(std::clamp<int64_t>(rest / 4, 1, 32));
  s.n_anchors = static_cast<int32_t>(std::max<int64_t>(0, rest / s.span));
  return s;
}

void check(const Settings& s, int64_t n_window) {
  switch (s.selection) {
    case Selection::kFull:
    case Selection::kExact:
    case Selection::kBlock1:
      break;
    default:
      fail(ErrorCode::kArg, "selection is ", static_cast<int32_t>(s.selection),
           ", known are 0 (full), 1 (exact) and 2 (block1)");
  }
  if (!is_scoring(s.scoring)) {
    fail(ErrorCode::kArg, "scoring is ", static_cast<int32_t>(s.scoring),
         ", known are 0 (native) and 1 (int8)");
  }
  if (s.int8_cache && s.scoring != Scoring::kInt8) {
    fail(ErrorCode::kArg, "scoring is native, a cache in INT8 is scored in int8 only");
  }
  if (!is_cache_type(s.kv_dtype)) {
    fail(ErrorCode::kArg, "kv_dtype is ", kernels::dtype_info(s.kv_dtype).name,
         ", a cache can be F32, F16 or BF16");
  }
  check_range("n_global", s.n_global, 0, kMaxPosition);
  check_range("n_local", s.n_local, 1, kMaxPosition);
  check_range("top_k", s.top_k, 1, kernels::kMaxTopK);
  check_range("span", s.span, 1, 65536);
  check_range("n_anchors", s.n_anchors, 0, 65536);
  check_range("chunk", s.chunk, 1, 65536);
  check_range("vote_stride", s.vote_stride, 1, 65536);
  check_range("max_tokens", s.max_tokens, 0, kMaxPosition);
  if (s.selection == Selection::kFull) return;  // no split: the other bounds do not meet anything
  if (s.n_local < s.chunk) {
    fail(ErrorCode::kArg, "n_local is ", s.n_local, ", below chunk ", s.chunk,
         ": a step's own tokens must all be local");
  }
  if (scope(s) > n_window) {
    fail(ErrorCode::kArg, "the scope n_global + n_anchors * span + n_local is ", s.n_global, " + ",
         s.n_anchors, " * ", s.span, " + ", s.n_local, " = ", scope(s),
         ", beyond the model's trained window of ", n_window);
  }
}

Split split(int64_t n_tokens, const Settings& s) {
  const int64_t local_begin = n_tokens - s.n_local;
  if (s.selection == Selection::kFull || local_begin <= s.n_global) return {n_tokens, 0, 0};
  return {n_tokens, s.n_global, local_begin};
}

}  // namespace reattn::select
