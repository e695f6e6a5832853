// What the attention kernels share: their entry points, and how a thread finds its way through the set.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <span>

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/attend.hpp"

namespace reattn::kernels::cuda {

// Right for every type of pages, any group and any even head_dim up to kMaxHeadDim.
constexpr int32_t kMaxHeadDim = 256;
void attend_general(Context& ctx, const AttendArgs& a);

// wgmma kernels: F16 and BF16 pages, head_dim 64 and 128. All sequences are of one type and shape of heads.
bool attend_sm90_can(const Context& ctx, const AttendArgs& a);
void attend_sm90(Context& ctx, std::span<const AttendArgs> sequences);

// The scope is at most this; how many are recalled only the device knows.
inline int64_t scope_bound(const AttendArgs& a) {
  return std::min(a.rope.n_positions, a.n_tokens);
}

#if defined(__CUDACC__)

// The scope M. What cannot be recalled without leaving the table of angles is not.
__device__ inline int64_t device_scope(const AttendArgs& a) {
  const int64_t n_recalled = a.n_recalled == nullptr ? 0 : *a.n_recalled;
  const int64_t scope = a.n_global + n_recalled + a.n_tokens - a.local_begin;
  const int64_t bound = a.rope.n_positions < a.n_tokens ? a.rope.n_positions : a.n_tokens;
  return scope < bound ? scope : bound;
}

// The token at position j of the set; both have 31 bits.
__device__ inline int32_t device_token(const AttendArgs& a, int32_t scope, int32_t j) {
  const auto n_global = static_cast<int32_t>(a.n_global);
  const auto n_tokens = static_cast<int32_t>(a.n_tokens);
  if (j < n_global) return j;
  const int32_t token = n_tokens - (scope - j);  // if it is a local one
  return token >= static_cast<int32_t>(a.local_begin) ? token : a.recalled[j - n_global];
}

#endif

}  // namespace reattn::kernels::cuda
