// Lists of best picks: within one range of keys while it is scored, and over all ranges.
#pragma once

#include <cstdint>

#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cpu {

// One range's picks of a block of rows. Scores are offered in the order of their positions.
struct RangePicks {
  int64_t n_rows;
  int32_t top_k;
  bool block1;
  float* threshold;    // [n_rows] only a score greater than this one matters
  float* floor;        // [n_rows] what threshold was before the range
  float* scores;       // [n_rows, top_k] best first, −inf where empty
  int32_t* positions;  // [n_rows, top_k]
  int32_t* winner;  // [n_rows] position of the best of the current block, −1: none; block1 only

  void insert(int64_t row, float score, int32_t position) {
    float* s = scores + row * top_k;
    int32_t* p = positions + row * top_k;
    int32_t at = top_k - 1;
    if (!(score > s[at])) return;
    for (; at > 0 && score > s[at - 1]; --at) {
      s[at] = s[at - 1];
      p[at] = p[at - 1];
    }
    s[at] = score;
    p[at] = position;
  }

  void raise_threshold(int64_t row) {
    const float worst = scores[row * top_k + top_k - 1];
    threshold[row] = worst > floor[row] ? worst : floor[row];
  }

  // Requires score > threshold[row].
  void offer(int64_t row, float score, int32_t position) {
    if (block1) {
      threshold[row] = score;
      winner[row] = position;
    } else {
      insert(row, score, position);
      raise_threshold(row);
    }
  }

  // Ends a block of block1: its winners become candidates.
  void close_block() {
    for (int64_t row = 0; row < n_rows; ++row) {
      if (winner[row] < 0) continue;
      insert(row, threshold[row], winner[row]);
      raise_threshold(row);
      winner[row] = -1;
    }
  }
};

}  // namespace reattn::kernels::cpu
