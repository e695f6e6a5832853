// What every version of the cache operations asks of its arguments before touching memory.
#pragma once

#include "reattn/kernels/attend.hpp"
#include "reattn/kernels/error.hpp"
#include "reattn/kernels/select.hpp"

namespace reattn::kernels::reference {

inline void check_pages(const char* op, const KvPages& p) {
  if (p.dtype != DType::kF32 && p.dtype != DType::kF16 && p.dtype != DType::kBF16) {
    fail(ErrorCode::kUnsupported, op, ": cache pages are F32, F16 or BF16, not ",
         dtype_info(p.dtype).name);
  }
  if (p.n_kv_heads < 1 || p.head_dim < 1) {
    fail(ErrorCode::kArg, op, ": n_kv_heads is ", p.n_kv_heads, " and head_dim ", p.head_dim,
         ", both must be at least 1");
  }
}

// The fast CPU kernels know no BF16 pages.
inline void check_host_pages(const char* op, const KvPages& p) {
  if (p.dtype == DType::kBF16) {
    fail(ErrorCode::kUnsupported, op, ": on the CPU cache pages are F32 or F16, not BF16");
  }
}

inline void check_heads(const char* op, const KvPages& p, int32_t n_heads) {
  check_pages(op, p);
  if (n_heads < 1 || n_heads % p.n_kv_heads != 0) {
    fail(ErrorCode::kArg, op, ": n_heads is ", n_heads, ", not a multiple of n_kv_heads ",
         p.n_kv_heads);
  }
}

inline void check(const KvAppendArgs& a) {
  check_pages("kv_append", a.pages);
  if (a.n_new < 0 || a.begin < 0) {
    fail(ErrorCode::kArg, "kv_append: n_new is ", a.n_new, " and begin ", a.begin,
         ", neither may be negative");
  }
}

inline void check(const QuantizeKeysArgs& a) {
  check_pages("quantize_keys", a.pages);
  if (a.pages.k8 == nullptr) fail(ErrorCode::kArg, "quantize_keys: the pages have no int8 keys");
  if (a.begin < 0 || a.end < a.begin || a.begin % kScaleBlock != 0 || a.end % kScaleBlock != 0) {
    fail(ErrorCode::kArg, "quantize_keys: [", a.begin, ", ", a.end,
         ") must be a range of whole blocks of ", kScaleBlock, " positions");
  }
}

inline void check(const RestoreRowsArgs& a) {
  check_pages("restore_rows", a.pages);
  if (a.pages.k8 == nullptr || a.pages.v8 == nullptr) {
    fail(ErrorCode::kArg, "restore_rows: the pages have no int8 keys and values");
  }
  if (a.begin < 0 || a.end < a.begin) {
    fail(ErrorCode::kArg, "restore_rows: [", a.begin, ", ", a.end,
         ") must be a range of positions");
  }
}

inline void check_int8_end(const AttendArgs& a) {
  if (a.int8_end < 0 || a.int8_end % kScaleBlock != 0) {
    fail(ErrorCode::kArg, "attend: int8_end is ", a.int8_end, ", not a multiple of ", kScaleBlock);
  }
  if (a.int8_end > 0 && (a.pages.k8 == nullptr || a.pages.v8 == nullptr)) {
    fail(ErrorCode::kArg, "attend: int8_end is ", a.int8_end, ", the pages are not in int8");
  }
}

inline void check(const ScoreArgs& a) {
  check_heads("score", a.pages, a.n_heads);
  if (a.n_queries < 0) fail(ErrorCode::kArg, "score: n_queries is ", a.n_queries);
  if (a.middle_begin < 0 || a.middle_end <= a.middle_begin || a.middle_end > INT32_MAX) {
    fail(ErrorCode::kArg, "score: the middle [", a.middle_begin, ", ", a.middle_end,
         ") must be a non-empty range of 31-bit positions");
  }
  if (a.top_k < 1 || a.top_k > kMaxTopK) {
    fail(ErrorCode::kArg, "score: top_k is ", a.top_k, ", the range is 1 to ", kMaxTopK);
  }
  if (a.vote_stride < 1) fail(ErrorCode::kArg, "score: vote_stride is ", a.vote_stride);
  if (a.int8_end < 0 || a.int8_end % kScaleBlock != 0) {
    fail(ErrorCode::kArg, "score: int8_end is ", a.int8_end, ", not a multiple of ", kScaleBlock);
  }
  if (a.int8_end > 0 && a.pages.k8 == nullptr) {
    fail(ErrorCode::kArg, "score: int8_end is ", a.int8_end, ", the pages have no int8 keys");
  }
}

// The scope M, checked.
inline int64_t check(const AttendArgs& a) {
  check_heads("attend", a.pages, a.n_heads);
  check_int8_end(a);
  if (a.n_global < 0 || a.local_begin < a.n_global || a.n_tokens < a.local_begin) {
    fail(ErrorCode::kArg, "attend: n_global ", a.n_global, ", local_begin ", a.local_begin,
         " and n_tokens ", a.n_tokens, " must ascend from 0");
  }
  const int64_t n_recalled = a.n_recalled == nullptr ? 0 : *a.n_recalled;
  if (n_recalled < 0 || n_recalled > a.local_begin - a.n_global) {
    fail(ErrorCode::kArg, "attend: n_recalled is ", n_recalled, ", the middle holds ",
         a.local_begin - a.n_global);
  }
  for (int64_t i = 0; i < n_recalled; ++i) {
    if (a.recalled[i] < a.n_global || a.recalled[i] >= a.local_begin) {
      fail(ErrorCode::kArg, "attend: recalled position ", a.recalled[i], " is outside the middle [",
           a.n_global, ", ", a.local_begin, ")");
    }
  }
  const int64_t scope = a.n_global + n_recalled + a.n_tokens - a.local_begin;
  if (a.n_queries < 0 || a.n_queries > a.n_tokens - a.local_begin) {
    fail(ErrorCode::kArg, "attend: n_queries is ", a.n_queries, ", the local window holds ",
         a.n_tokens - a.local_begin);
  }
  if (a.pages.head_dim % 2 != 0) {
    fail(ErrorCode::kArg, "attend: RoPE needs an even head_dim, not ", a.pages.head_dim);
  }
  if (scope > a.rope.n_positions) {
    fail(ErrorCode::kArg, "attend: the scope is ", scope, " and the RoPE table holds ",
         a.rope.n_positions, " positions");
  }
  return scope;
}

}  // namespace reattn::kernels::reference
