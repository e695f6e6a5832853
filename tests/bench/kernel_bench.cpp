// Times scoring and attention alone: kernel_bench [n_threads] [n_keys] [scope].
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/ops.hpp"
#include "tests/bench/best_seconds.hpp"

namespace {

using reattn::bench::best_seconds;
using reattn::bench::Seconds;
using reattn::kernels::AttendArgs;
using reattn::kernels::DType;
using reattn::kernels::kPageTokens;
using reattn::kernels::KvAppendArgs;
using reattn::kernels::KvPages;
using reattn::kernels::QuantizeKeysArgs;
using reattn::kernels::RopeLayout;
using reattn::kernels::ScoreArgs;
namespace cpu = reattn::kernels::cpu;

constexpr int32_t kHeads = 9, kKvHeads = 3, kHeadDim = 64;

std::vector<float> random_floats(int64_t n) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<size_t>(n));
  for (float& x : out) x = normal(random);
  return out;
}

void print(const std::string& what, Seconds s, double flop) {
  std::printf("%-48s %9.3f ms wall, %9.3f ms cpu, %6.1f GFLOP/s, %5.1f a busy core\n", what.c_str(),
              s.wall * 1e3, s.cpu * 1e3, flop / s.wall * 1e-9, flop / s.cpu * 1e-9);
}

struct Cache {
  explicit Cache(const cpu::Context& c, int64_t n, DType dtype)
      : floats(random_floats(n * kKvHeads * kHeadDim)) {
    const int64_t n_pages = (n + kPageTokens - 1) / kPageTokens;
    for (int64_t i = 0; i < 2 * n_pages; ++i) {
      void* page = std::aligned_alloc(64, kPageTokens * kKvHeads * kHeadDim * 4);
      (i < n_pages ? k : v).push_back(page);
      void* page8 = std::aligned_alloc(64, kPageTokens * kKvHeads * (kHeadDim + 64));
      (i < n_pages ? k8 : v8).push_back(page8);
    }
    pages = {k.data(), v.data(), dtype, kKvHeads, kHeadDim};
    append = {floats.data(), floats.data(), n, 0, pages};
    cpu::kv_append(c, append);
    pages8 = pages;
    pages8.k8 = k8.data();
    pages8.v8 = v8.data();
    quantize = {pages8, 0, n / reattn::kernels::kScaleBlock * reattn::kernels::kScaleBlock};
    cpu::quantize_keys(c, quantize);
  }
  ~Cache() {
    for (const auto* table : {&k, &v, &k8, &v8}) {
      for (void* page : *table) std::free(page);
    }
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;
  std::vector<float> floats;
  std::vector<void*> k, v, k8, v8;
  KvPages pages, pages8;
  KvAppendArgs append;
  QuantizeKeysArgs quantize;
};

}  // namespace

int main(int argc, char** argv) {
  const int n_threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const int64_t n_keys = argc > 2 ? std::atoll(argv[2]) : 32768;
  const int64_t scope = argc > 3 ? std::atoll(argv[3]) : 3072;
  if (n_threads < 1 || n_keys < 1 || scope < 512) {
    std::fprintf(stderr, "usage: kernel_bench [n_threads] [n_keys] [scope, at least 512]\n");
    return 2;
  }
  cpu::ThreadPool pool(n_threads);
  cpu::ScratchPool scratch;
  const cpu::Context c{pool, scratch, nullptr};
  const std::vector<float> q = random_floats(512 * kHeads * kHeadDim);
  std::vector<float> out(q.size());
  std::vector<int32_t> picks(512 * kHeads * 16);
  std::vector<float> angles(static_cast<size_t>(scope * kHeadDim / 2), 0.7f);

  for (const DType dtype : {DType::kF16, DType::kF32}) {
    const std::string name(dtype_info(dtype).name);
    const Cache cache(c, std::max(n_keys, scope), dtype);
    print(name + " append", best_seconds(3, [&] { cpu::kv_append(c, cache.append); }), 0);
    print(name + " to int8", best_seconds(3, [&] { cpu::quantize_keys(c, cache.quantize); }), 0);
    const auto score = [&](int64_t n_queries, int32_t top_k, int32_t stride, bool block1,
                           int64_t int8_end = 0) {
      const ScoreArgs a{q.data(), n_queries, kHeads, cache.pages8, 0,       n_keys,
                        top_k,    stride,    block1, picks.data(), int8_end};
      const int64_t n_rows = reattn::kernels::n_voters(n_queries, stride) * kHeads;
      print(reattn::concat(name, " score ", n_queries, " queries, top_k ", top_k, ", stride ",
                           stride, block1 ? ", block1" : "", int8_end > 0 ? ", int8" : ""),
            best_seconds(n_queries == 1 ? 50 : 5, [&] { cpu::score(c, a); }),
            2.0 * static_cast<double>(n_rows * n_keys) * kHeadDim);
    };
    score(512, 4, 1, false);
    score(512, 16, 1, false);
    score(512, 4, 4, false);
    score(512, 4, 1, true);
    score(30, 4, 1, false);
    score(1, 4, 1, false);
    for (const int64_t n_queries : {512, 30, 1}) {
      score(n_queries, 4, 1, false, cache.quantize.end);
    }
    for (const int64_t n_queries : {512, 30, 1}) {
      const AttendArgs a{.q = q.data(),
                         .n_queries = n_queries,
                         .n_heads = kHeads,
                         .pages = cache.pages,
                         .n_tokens = scope,
                         .n_global = 0,
                         .recalled = nullptr,
                         .n_recalled = nullptr,
                         .local_begin = 0,
                         .rope = {angles.data(), angles.data(), scope, RopeLayout::kInterleaved},
                         .scale = 0.125f,
                         .out = out.data()};
      AttendArgs a8 = a;
      a8.pages = cache.pages8;
      a8.int8_end = reattn::kernels::complete_blocks(scope);
      const double flop =
          4.0 * static_cast<double>(n_queries * (scope - n_queries / 2)) * kHeads * kHeadDim;
      const int n_runs = n_queries == 1 ? 50 : 5;
      print(reattn::concat(name, " attend ", n_queries, " queries"),
            best_seconds(n_runs, [&] { cpu::attend(c, a); }), flop);
      print(reattn::concat(name, " attend ", n_queries, " queries, int8"),
            best_seconds(n_runs, [&] { cpu::attend(c, a8); }), flop);
    }
  }
}
