// Attention over the selected set: checks what the host can know, and picks the kernels.
#include "kernels/cpu/reference/check.hpp"
#include "kernels/cuda/attend/attend.hpp"
#include "kernels/cuda/attend/attend_decode.hpp"
#include "kernels/cuda/ops.hpp"

namespace reattn::kernels::cuda {
namespace {

// The number of recalled positions and the positions themselves are in device memory, unseen here.
void check(const AttendArgs& a) {
  reference::check_heads("attend", a.pages, a.n_heads);
  reference::check_int8_end(a);
  if (a.n_global < 0 || a.local_begin < a.n_global || a.n_tokens < a.local_begin) {
    fail(ErrorCode::kArg, "attend: n_global ", a.n_global, ", local_begin ", a.local_begin,
         " and n_tokens ", a.n_tokens, " must ascend from 0");
  }
  if (a.n_tokens > INT32_MAX) {
    fail(ErrorCode::kArg, "attend: n_tokens is ", a.n_tokens, ", positions have 31 bits");
  }
  if (a.n_queries < 0 || a.n_queries > a.n_tokens - a.local_begin) {
    fail(ErrorCode::kArg, "attend: n_queries is ", a.n_queries, ", the local window holds ",
         a.n_tokens - a.local_begin);
  }
  if (a.pages.head_dim % 2 != 0) {
    fail(ErrorCode::kArg, "attend: RoPE needs an even head_dim, not ", a.pages.head_dim);
  }
  if (a.pages.head_dim > kMaxHeadDim) {
    fail(ErrorCode::kUnsupported, "attend: head_dim is ", a.pages.head_dim,
         ", on a CUDA device at most ", kMaxHeadDim);
  }
  const int64_t scope = a.n_global + a.n_tokens - a.local_begin;  // with nothing recalled
  if (scope > a.rope.n_positions) {
    fail(ErrorCode::kArg, "attend: the scope is at least ", scope, " and the RoPE table holds ",
         a.rope.n_positions, " positions");
  }
}

enum class Way { kFew, kFast, kGeneral };

Way way_of(const Context& ctx, const AttendArgs& a) {
  if (attend_decode_fits(a)) return Way::kFew;
  return attend_sm90_can(ctx, a) ? Way::kFast : Way::kGeneral;
}

// One launch can take both.
bool alike(const AttendArgs& a, const AttendArgs& b) {
  return a.n_heads == b.n_heads && a.pages.n_kv_heads == b.pages.n_kv_heads &&
         a.pages.head_dim == b.pages.head_dim && a.pages.dtype == b.pages.dtype;
}

}  // namespace

void attend(Context& ctx, std::span<const AttendArgs> sequences) {
  for (const AttendArgs& a : sequences) check(a);
  for (size_t i = 0; i < sequences.size();) {
    const Way way = way_of(ctx, sequences[i]);
    size_t n = 1;
    while (i + n < sequences.size() && way_of(ctx, sequences[i + n]) == way &&
           alike(sequences[i], sequences[i + n])) {
      ++n;
    }
    const auto run = sequences.subspan(i, n);
    if (way == Way::kFew) {
      attend_decode(ctx, run);
    } else if (way == Way::kFast) {
      attend_sm90(ctx, run);
    } else {
      for (const AttendArgs& a : run) attend_general(ctx, a);
    }
    i += n;
  }
}

}  // namespace reattn::kernels::cuda
