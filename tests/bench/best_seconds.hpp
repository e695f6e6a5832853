// The shortest of several runs.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>

namespace reattn::bench {

struct Seconds {
  double wall = 1e30, cpu = 1e30;  // cpu: of all threads; what counts on a busy machine
};

template <class F>
Seconds best_seconds(int n_runs, F&& run) {
  Seconds best;
  for (int i = 0; i < n_runs; ++i) {
    const std::clock_t cpu = std::clock();
    const auto begin = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    best.wall = std::min(best.wall, wall.count());
    best.cpu = std::min(best.cpu, static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
  }
  return best;
}

}  // namespace reattn::bench
