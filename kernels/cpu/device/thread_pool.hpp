// The one thread pool of a CPU device.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace reattn::kernels::cpu {

// Runs lists of independent tasks. How the work is cut into tasks never depends on the number of
// threads, so neither do results. Any number of callers may run at once; each takes part in its own
// list, so a task may itself call run(). OpenMP is held to one thread inside tasks: libraries stay
// single-threaded.
class ThreadPool {
 public:
  // n_threads counts the caller: n − 1 workers are started. 0: as many as the process may run on.
  // Throws Error(kArg) outside [0, kMaxThreads], Error(kOomHost) when a thread cannot be started.
  static constexpr int32_t kMaxThreads = 1024;
  explicit ThreadPool(int32_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int32_t n_threads() const { return n_threads_; }

  // Calls task(i) for every i in [0, n_tasks), each once, and returns when all have ended. Before
  // each task *cancel is polled (may be null): once true no further task starts and
  // Error(kCancelled) is thrown. The first exception of a task ends the list likewise and is
  // rethrown.
  void run(int64_t n_tasks, const std::atomic<bool>* cancel,
           const std::function<void(int64_t)>& task);

 private:
  struct Job;
  void work();
  void stop_workers();
  static void take_part(Job& job);

  int32_t n_threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Job>> jobs_;  // that may have tasks left to start
  std::atomic<int64_t> n_jobs_{0};          // jobs_.size(), for workers that spin
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace reattn::kernels::cpu
