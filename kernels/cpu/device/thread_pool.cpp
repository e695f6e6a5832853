// The thread pool: callers publish a job, idle workers join it, tasks are claimed one by one.
#include "kernels/cpu/device/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

#include "kernels/cpu/device/host.hpp"
#include "reattn/kernels/error.hpp"

// From the OpenMP runtime oneDNN uses; declared here because only gcc ships omp.h.
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int n_threads);
}

namespace reattn::kernels::cpu {
namespace {

// A decode step is hundreds of lists of some 20 µs each: going to sleep in between would cost more
// than the work does.
constexpr std::chrono::microseconds kSpin(100);

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// True as soon as ready() is, false after kSpin.
template <class F>
bool spin_until(F&& ready) {
  if (ready()) return true;
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      pause_cpu();
      if (ready()) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

class OneOmpThread {
 public:
  OneOmpThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneOmpThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }
  OneOmpThread(const OneOmpThread&) = delete;
  OneOmpThread& operator=(const OneOmpThread&) = delete;

 private:
  int before_;
};

}  // namespace

struct ThreadPool::Job {
  int64_t n_tasks;
  const std::atomic<bool>* cancel;
  const std::function<void(int64_t)>*
      task;  // the caller's; only touched by those counted in n_inside
  std::atomic<int64_t> next{0};
  std::atomic<int32_t> n_inside{0};  // workers taking part; raised under the pool's mutex
  std::atomic<bool> waiting{false};  // the caller sleeps on `left`
  std::condition_variable left;
  std::mutex error_mutex;
  std::exception_ptr error;

  bool has_tasks() const { return next.load(std::memory_order_relaxed) < n_tasks; }

  void end_with(std::exception_ptr e) {
    const std::lock_guard lock(error_mutex);
    if (!error) error = std::move(e);
    next.store(n_tasks, std::memory_order_relaxed);
  }
};

ThreadPool::ThreadPool(int32_t n_threads) {
  if (n_threads < 0 || n_threads > kMaxThreads) {
    fail(ErrorCode::kArg, "n_threads is ", n_threads, ", must be within 0 and ", kMaxThreads);
  }
  n_threads_ = n_threads > 0 ? n_threads : std::min(usable_processors(), kMaxThreads);
  try {
    workers_.reserve(static_cast<size_t>(n_threads_ - 1));
    while (static_cast<int32_t>(workers_.size()) < n_threads_ - 1) {
      workers_.emplace_back([this] { work(); });
    }
  } catch (const std::system_error& e) {
    const size_t n_started = workers_.size();
    stop_workers();
    fail(ErrorCode::kOomHost, "thread ", n_started + 2, " of ", n_threads_,
         " could not be started: ", e.what());
  } catch (...) {
    stop_workers();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stop_workers();
}

void ThreadPool::stop_workers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::take_part(Job& job) {
  while (job.has_tasks()) {
    try {
      if (job.cancel != nullptr && job.cancel->load(std::memory_order_acquire)) {
        fail(ErrorCode::kCancelled, "cancelled by the caller");
      }
      // end_with() may have stored n_tasks in between; what is claimed then starts no task.
      const int64_t i = job.next.fetch_add(1, std::memory_order_relaxed);
      if (i < job.n_tasks) (*job.task)(i);
    } catch (...) {
      job.end_with(std::current_exception());
    }
  }
}

void ThreadPool::work() {
  const OneOmpThread one_omp_thread;
  size_t turn = 0;
  for (;;) {
    spin_until([this] { return n_jobs_.load(std::memory_order_relaxed) > 0 || stopping_; });
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = jobs_[turn++ % jobs_.size()];  // in turn, so that no caller starves another
      job->n_inside.fetch_add(1, std::memory_order_relaxed);
    }
    take_part(*job);
    {
      const std::lock_guard lock(mutex_);
      const auto at = std::find(jobs_.begin(), jobs_.end(), job);
      if (at != jobs_.end()) {  // nothing left to start in it: nobody else shall join
        jobs_.erase(at);
        n_jobs_.store(static_cast<int64_t>(jobs_.size()), std::memory_order_relaxed);
      }
    }
    // The last to leave wakes the caller, if it sleeps; both sides are sequentially consistent.
    if (job->n_inside.fetch_sub(1) == 1 && job->waiting.load()) {
      { const std::lock_guard lock(mutex_); }
      job->left.notify_one();
    }
  }
}

void ThreadPool::run(int64_t n_tasks, const std::atomic<bool>* cancel,
                     const std::function<void(int64_t)>& task) {
  if (n_tasks <= 0) return;
  const OneOmpThread one_omp_thread;
  const auto job = std::make_shared<Job>();
  job->n_tasks = n_tasks;
  job->cancel = cancel;
  job->task = &task;
  const bool shared = n_tasks > 1 && n_threads_ > 1;
  if (shared) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(job);
      n_jobs_.store(static_cast<int64_t>(jobs_.size()), std::memory_order_relaxed);
    }
    if (n_tasks < n_threads_) {
      for (int64_t i = 1; i < n_tasks; ++i) wake_.notify_one();
    } else {
      wake_.notify_all();
    }
  }
  take_part(*job);
  if (shared) {
    {
      const std::lock_guard lock(mutex_);
      const auto at = std::find(jobs_.begin(), jobs_.end(), job);
      if (at != jobs_.end()) {
        jobs_.erase(at);
        n_jobs_.store(static_cast<int64_t>(jobs_.size()), std::memory_order_relaxed);
      }
    }
    if (!spin_until([&] { return job->n_inside.load() == 0; })) {
      std::unique_lock lock(mutex_);
      job->waiting.store(true);
      job->left.wait(lock, [&] { return job->n_inside.load() == 0; });
    }
  }
  // Nobody else is inside by now. Out of the job, so that a worker which still holds the job is not
  // the one that frees what the caller reads.
  if (std::exception_ptr error = std::exchange(job->error, nullptr)) {
    std::rethrow_exception(std::move(error));
  }
}

}  // namespace reattn::kernels::cpu
