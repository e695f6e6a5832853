#include "examples/cli/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "examples/cli/options.hpp"

namespace reattn::cli {
namespace {

constexpr int64_t kShortInput = 2048;     // tokens that are read without a word
constexpr double kSecondsPerLine = 10.0;  // where there is no terminal
constexpr int kBarWidth = 24;

std::string clock_time(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  const std::string rest = std::to_string(s % 60);
  return std::to_string(s / 60) + (rest.size() < 2 ? ":0" : ":") + rest;
}

}  // namespace

ReadProgress::ReadProgress() : terminal_(isatty(STDERR_FILENO) != 0) {}

ReadProgress::~ReadProgress() {
  if (terminal_ && drawn_) std::fputc('\n', stderr);
}

double ReadProgress::seconds_left(int64_t n_done, int64_t n_total, double elapsed) const {
  const double rest = static_cast<double>(n_total - n_done);
  const double middle = static_cast<double>(n_done) + rest / 2;
  const double variance = n_ * sum_xx_ - sum_x_ * sum_x_;
  double per_token = elapsed / static_cast<double>(n_done);
  if (n_ >= 3 && variance > 0) {
    const double slope = std::max(0.0, (n_ * sum_xy_ - sum_x_ * sum_y_) / variance);
    per_token = std::max(0.0, sum_y_ / n_ + slope * (middle - sum_x_ / n_));
  }
  return rest * per_token;
}

void ReadProgress::update(int64_t n_done, int64_t n_total) {
  if (n_total < kShortInput || n_done <= last_done_) return;
  const double elapsed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  const double x = 0.5 * static_cast<double>(n_done + last_done_);
  const double y = (elapsed - last_elapsed_) / static_cast<double>(n_done - last_done_);
  n_ += 1;
  sum_x_ += x;
  sum_y_ += y;
  sum_xx_ += x * x;
  sum_xy_ += x * y;
  last_done_ = n_done;
  last_elapsed_ = elapsed;
  const bool due = n_ == 1 || n_done == n_total || elapsed - last_line_ >= kSecondsPerLine;
  if (terminal_ || due) {
    last_line_ = elapsed;
    draw(n_done, n_total, elapsed);
  }
}

void ReadProgress::draw(int64_t n_done, int64_t n_total, double elapsed) {
  const double share = static_cast<double>(n_done) / static_cast<double>(n_total);
  const double speed = elapsed > 0 ? static_cast<double>(n_done) / elapsed : 0;
  const std::string counts = grouped(n_done) + " / " + grouped(n_total) + " tokens";
  const std::string time = n_done == n_total
                               ? "in " + clock_time(elapsed)
                               : clock_time(seconds_left(n_done, n_total, elapsed)) + " left";
  if (!terminal_) {
    std::fprintf(stderr, "read %s, %.0f tokens/s, %s\n", counts.c_str(), speed, time.c_str());
    return;
  }
  drawn_ = true;
  const int filled = static_cast<int>(share * kBarWidth);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '-');
  std::fprintf(stderr, "\r\033[Kreading [%s] %3.0f %%  %s  %.0f tokens/s  %s", bar.c_str(),
               100 * share, counts.c_str(), speed, time.c_str());
  std::fflush(stderr);
}

}  // namespace reattn::cli
