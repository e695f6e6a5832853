// Device code of the vote over few picks by one block: all are compared with all.
#pragma once

#include "kernels/cuda/select/block.cuh"

namespace reattn::kernels::cuda {

constexpr int32_t kComparedPicks = 128;

// Greater: more votes, then the earlier position. 0: no position.
__device__ inline unsigned long long vote_key(int32_t votes, int32_t position) {
  return static_cast<unsigned long long>(static_cast<uint32_t>(votes)) << 32 |
         ~static_cast<uint32_t>(position);
}
__device__ inline int32_t key_votes(unsigned long long key) { return static_cast<int32_t>(key >> 32); }
__device__ inline int32_t key_position(unsigned long long key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

struct Ballot {
  int32_t n_anchors;
  int32_t* anchors;  // [n_anchors]
  int32_t* votes;    // [n_anchors]
  int32_t* n_found;
};

// Thread i brings pick i, or −1 where it has none; the picks are those of the first n_threads threads, a multiple of 4 and at most
// kComparedPicks. All threads of the block call it. Returns how many anchors there are.
__device__ inline int32_t vote_compared(int32_t position, int32_t n_threads, const Ballot& ballot) {
  __shared__ int4 picks[kComparedPicks / 4];
  __shared__ ulonglong2 keys[kComparedPicks / 2];
  const int32_t me = threadIdx.x;
  if (me < n_threads) reinterpret_cast<int32_t*>(picks)[me] = position;
  __syncthreads();
  int32_t votes = 0, earlier = 0;
  unsigned long long key = 0;
  if (me < n_threads) {
#pragma unroll 4
    for (int32_t i = 0; i < n_threads / 4; ++i) {
      const int4 four = picks[i];
      const int32_t all[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
      for (int32_t j = 0; j < 4; ++j) {
        votes += all[j] == position;
        earlier += all[j] == position && 4 * i + j < me;
      }
    }
    if (position >= 0 && earlier == 0) key = vote_key(votes, position);
    reinterpret_cast<unsigned long long*>(keys)[me] = key;
  }
  const int32_t n_found = min(__syncthreads_count(key != 0), ballot.n_anchors);
  if (me == 0) *ballot.n_found = n_found;
  if (key == 0) return n_found;
  int32_t rank = 0;
#pragma unroll 4
  for (int32_t i = 0; i < n_threads / 2; ++i) {
    const ulonglong2 two = keys[i];
    rank += (two.x > key) + (two.y > key);
  }
  if (rank < ballot.n_anchors) {
    ballot.anchors[rank] = position;
    ballot.votes[rank] = votes;
  }
  return n_found;
}

}  // namespace reattn::kernels::cuda
