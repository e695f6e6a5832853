// Progress of reading a document, on standard error.
#pragma once

#include <chrono>
#include <cstdint>

namespace reattn::cli {

// A bar where standard error is a terminal, else a line now and then; silent on short input.
class ReadProgress {
 public:
  ReadProgress();
  ~ReadProgress();
  ReadProgress(const ReadProgress&) = delete;
  ReadProgress& operator=(const ReadProgress&) = delete;

  void update(int64_t n_done, int64_t n_total);

 private:
  double seconds_left(int64_t n_done, int64_t n_total, double elapsed) const;
  void draw(int64_t n_done, int64_t n_total, double elapsed);

  const bool terminal_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double last_line_ = 0;  // seconds after begin_
  bool drawn_ = false;
  // Sums over updates that fit the seconds per token as a line over the position: reading slows
  // down as the document grows.
  int64_t last_done_ = 0;
  double last_elapsed_ = 0;
  double n_ = 0, sum_x_ = 0, sum_y_ = 0, sum_xx_ = 0, sum_xy_ = 0;
};

}  // namespace reattn::cli
