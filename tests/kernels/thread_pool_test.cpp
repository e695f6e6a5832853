// The pool's promises: every task once, exceptions, cancelling, any number of callers; and the
// scratch blocks.
#include "kernels/cpu/device/thread_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>
#include <thread>
#include <vector>

#include "kernels/cpu/device/host.hpp"
#include "kernels/cpu/device/scratch.hpp"
#include "reattn/kernels/error.hpp"

extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int n_threads);
}

namespace reattn::kernels::cpu {
namespace {

template <class F>
ErrorCode code_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_STRNE(e.what(), "");
    return e.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::kInternal;
}

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (const int32_t n_threads : {1, 2, 3, 8}) {
    ThreadPool pool(n_threads);
    EXPECT_EQ(pool.n_threads(), n_threads);
    for (const int64_t n_tasks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> n_calls(static_cast<size_t>(n_tasks));
      pool.run(n_tasks, nullptr, [&](int64_t i) { ++n_calls[static_cast<size_t>(i)]; });
      for (const auto& n : n_calls) EXPECT_EQ(n, 1);
    }
  }
}

TEST(ThreadPool, WorkersTakePart) {
  ThreadPool pool(2);
  std::atomic<int> n_arrived{0};
  // Each task waits for the other: one thread alone would never return.
  pool.run(2, nullptr, [&](int64_t) {
    ++n_arrived;
    while (n_arrived < 2) std::this_thread::yield();
  });
  EXPECT_EQ(n_arrived, 2);
}

TEST(ThreadPool, SeesWhatTasksWrote) {
  ThreadPool pool(4);
  std::vector<int64_t> values(64);
  for (int64_t round = 0; round < 2000; ++round) {
    pool.run(64, nullptr, [&](int64_t i) { values[static_cast<size_t>(i)] += i; });
  }
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], 2000 * i);
}

TEST(ThreadPool, RethrowsAndEndsTheList) {
  for (const int32_t n_threads : {1, 4}) {
    ThreadPool pool(n_threads);
    std::atomic<int64_t> n_calls{0};
    EXPECT_EQ(code_of([&] {
                pool.run(1'000'000, nullptr, [&](int64_t i) {
                  ++n_calls;
                  if (i >= 10) fail(ErrorCode::kIo, "task ", i);
                });
              }),
              ErrorCode::kIo);
    EXPECT_LT(n_calls, 1'000'000);
    pool.run(5, nullptr, [&](int64_t) { n_calls = 0; });  // the pool lives on
    EXPECT_EQ(n_calls, 0);
  }
}

TEST(ThreadPool, Cancels) {
  for (const int32_t n_threads : {1, 4}) {
    ThreadPool pool(n_threads);
    std::atomic<bool> cancel{true};
    std::atomic<int64_t> n_calls{0};
    EXPECT_EQ(code_of([&] { pool.run(100, &cancel, [&](int64_t) { ++n_calls; }); }),
              ErrorCode::kCancelled);
    EXPECT_EQ(n_calls, 0);
    cancel = false;
    EXPECT_EQ(code_of([&] {
                pool.run(1'000'000, &cancel, [&](int64_t) {
                  if (++n_calls >= 20) cancel = true;  // whoever counts: any one may be held up
                });
              }),
              ErrorCode::kCancelled);
    EXPECT_LT(n_calls, 20 + n_threads);  // one that each had begun
  }
}

TEST(ThreadPool, ServesConcurrentAndNestedCallers) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  std::atomic<int> n_cancelled{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&, c] {
      for (int round = 0; round < 200; ++round) {
        pool.run(10, nullptr, [&](int64_t) { pool.run(5, nullptr, [&](int64_t i) { sum += i; }); });
        if (c == 0) {  // one caller's failure is not another's
          const std::atomic<bool> cancel{true};
          try {
            pool.run(10, &cancel, [&](int64_t) { sum += 1'000'000'000; });
          } catch (const Error&) {
            ++n_cancelled;
          }
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 200 * 10 * (0 + 1 + 2 + 3 + 4));
  EXPECT_EQ(n_cancelled, 200);
}

TEST(ThreadPool, WakesSleepingWorkers) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // longer than workers spin
    std::atomic<int> n_arrived{0};
    pool.run(2, nullptr, [&](int64_t) {
      ++n_arrived;
      while (n_arrived < 2) std::this_thread::yield();
    });
  }
}

TEST(ThreadPool, HoldsOpenMpToOneThreadInsideTasks) {
  omp_set_num_threads(5);
  ThreadPool pool(2);
  std::atomic<int> most{0};
  pool.run(100, nullptr, [&](int64_t) {
    if (omp_get_max_threads() > most) most = omp_get_max_threads();
  });
  EXPECT_EQ(most, 1);
  EXPECT_EQ(omp_get_max_threads(), 5);
}

TEST(ThreadPool, ChecksItsSize) {
  EXPECT_EQ(code_of([] { ThreadPool pool(-1); }), ErrorCode::kArg);
  EXPECT_EQ(code_of([] { ThreadPool pool(ThreadPool::kMaxThreads + 1); }), ErrorCode::kArg);
  const ThreadPool pool(0);
  EXPECT_EQ(pool.n_threads(), usable_processors());
  EXPECT_GE(pool.n_threads(), 1);
}

TEST(ScratchPool, LendsAlignedBlocksAndKeepsThem) {
  ScratchPool scratch;
  void* first = nullptr;
  {
    const ScratchPool::Lease a(scratch, 100'000);
    const ScratchPool::Lease b(scratch, 1);
    first = a.as<void>();
    EXPECT_NE(first, b.as<void>());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0U);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.as<void>()) % 64, 0U);
    std::memset(a.as<char>(), 1, 100'000);
  }
  const ScratchPool::Lease again(scratch, 99'000);
  EXPECT_EQ(again.as<void>(), first);
}

TEST(ScratchPool, ServesManyThreads) {
  ScratchPool scratch;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 500; ++i) {
        const size_t n = 1 + i * 97 % 20'000;
        const ScratchPool::Lease lease(scratch, n);
        std::memset(lease.as<char>(), t, n);
        for (size_t at = 0; at < n; at += 511) ASSERT_EQ(lease.as<char>()[at], t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ScratchPool, RefusesWhatTheMachineCannotHold) {
  ScratchPool scratch;
  const auto free = static_cast<size_t>(host_memory().free);
  for (const size_t bytes : {free * 2, std::numeric_limits<size_t>::max()}) {
    EXPECT_EQ(code_of([&] { ScratchPool::Lease lease(scratch, bytes); }), ErrorCode::kOomHost);
  }
  const ScratchPool::Lease lease(scratch, 1000);  // the pool lives on
  EXPECT_NE(lease.as<void>(), nullptr);
}

TEST(Host, TellsWhatItHas) {
  const HostMemory memory = host_memory();
  EXPECT_GT(memory.free, 0);
  EXPECT_GE(memory.total, memory.free);
  EXPECT_FALSE(processor_name().empty());
}

}  // namespace
}  // namespace reattn::kernels::cpu
