// Times gather + attention on the CUDA device, and what fills the cache, one JSON line a shape. Usage: cuda_attend_bench [once] [shape]
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/device/loaded_code.hpp"
#include "kernels/cuda/linear/lt.hpp"
#include "kernels/cuda/ops.hpp"

namespace {

using namespace reattn::kernels;

struct Shape {
  const char* name;
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t n_tokens, n_global, n_local;
  int32_t n_recalled;
  DType dtype;
  size_t n_sequences;
  bool int8 = false;  // the cache
};

class Bench {
 public:
  Bench() : memory_(0), scratch_(memory_), pattern_(1'000'003) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& x : pattern_) x = normal(random);
    cuda::check(cudaStreamCreate(&stream_), "cudaStreamCreate");
    cuda::check(cudaGetDeviceProperties(&properties_, 0), "cudaGetDeviceProperties");
    ctx_ = std::make_unique<cuda::Context>(
        cuda::Context{stream_, scratch_, memory_, lt_, properties_.multiProcessorCount,
                      10 * properties_.major + properties_.minor, cuda::sm90a_code_is_loaded()});
  }

  void run(const Shape& s, bool once) {
    std::mt19937 random(1);
    const int64_t row = int64_t{s.n_kv_heads} * s.head_dim;
    const int64_t n_pages = (s.n_tokens + kPageTokens - 1) / kPageTokens;
    const auto page_bytes = static_cast<size_t>(row_bytes(s.dtype, kPageTokens * row));
    std::vector<void*> tables[2];
    for (auto& table : tables) {
      for (int64_t p = 0; p < n_pages; ++p) table.push_back(take(page_bytes));
    }
    KvPages pages{upload(tables[0]), upload(tables[1]), s.dtype, s.n_kv_heads, s.head_dim};
    const float* chunk = upload(noise(static_cast<size_t>(kPageTokens * row) + 4'096));
    for (int64_t p = 0; p < n_pages; ++p) {
      const KvAppendArgs a{chunk + p % 64 * 4, chunk + (p + 31) % 64 * 4, kPageTokens,
                           p * kPageTokens, pages};
      cuda::kv_append(*ctx_, {&a, 1});
    }
    if (s.int8) make_int8(pages, n_pages);

    const int64_t scope = s.n_global + s.n_recalled + s.n_local;
    std::vector<float> cos, sin;
    for (int64_t j = 0; j < scope; ++j) {
      for (int32_t i = 0; i < s.head_dim / 2; ++i) {
        const double angle = static_cast<double>(j) * std::pow(500000.0, -2.0 * i / s.head_dim);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    const RopeTable rope{upload(cos), upload(sin), scope, RopeLayout::kHalves};
    const auto q_elements = static_cast<size_t>(s.n_queries * s.n_heads * s.head_dim);
    const int32_t* n_recalled = upload(std::vector<int32_t>{s.n_recalled});
    constexpr size_t kSets = 4;  // of recalled positions, taken in turn
    std::vector<AttendArgs> lists[kSets];
    double flop = 0;
    for (auto& list : lists) {
      for (size_t i = 0; i < s.n_sequences; ++i) {
        const int64_t middle = s.n_tokens - s.n_global - s.n_local;
        std::vector<int32_t> recalled;
        const int32_t n_spans = s.n_recalled / 32;
        for (int32_t span = 0; span < n_spans; ++span) {
          const int64_t room = middle / n_spans;
          const auto at = static_cast<int32_t>(s.n_global + span * room +
                                               static_cast<int64_t>(random()) % (room - 31));
          for (int32_t x = 0; x < 32; ++x) recalled.push_back(at + x);
        }
        recalled.push_back(-1);
        list.push_back({.q = upload(noise(q_elements)),
                        .n_queries = s.n_queries,
                        .n_heads = s.n_heads,
                        .pages = pages,
                        .n_tokens = s.n_tokens,
                        .n_global = s.n_recalled == 0 ? 0 : s.n_global,
                        .recalled = upload(recalled),
                        .n_recalled = n_recalled,
                        .local_begin = s.n_recalled == 0 ? 0 : s.n_tokens - s.n_local,
                        .rope = rope,
                        .scale = 1 / std::sqrt(static_cast<float>(s.head_dim)),
                        .out = static_cast<float*>(take(q_elements * sizeof(float))),
                        .int8_end = s.int8 ? complete_blocks(s.n_tokens) : 0});
      }
    }
    for (int64_t i = 0; i < s.n_queries; ++i) {
      flop += 4.0 * s.head_dim * s.n_heads * static_cast<double>(scope - s.n_queries + i + 1);
    }
    flop *= static_cast<double>(s.n_sequences);

    cuda::attend(*ctx_, lists[0]);
    cuda::check(cudaStreamSynchronize(stream_), s.name);
    if (!once) {
      std::vector<double> times;
      for (int repeat = 0; repeat < 11; ++repeat) {
        const int n = s.n_sequences > 1 ? 4 : 12;
        times.push_back(time([&] {
                          for (int i = 0; i < n; ++i)
                            cuda::attend(*ctx_, lists[static_cast<size_t>(i) % kSets]);
                        }) /
                        n);
      }
      std::sort(times.begin(), times.end());
      const double ms = times[times.size() / 2];
      std::printf(
          "{\"bench\":\"attend\",\"device\":\"%s\",\"shape\":\"%s\",\"dtype\":\"%s\",\"cache\":\"%"
          "s\","
          "\"queries\":%lld,"
          "\"heads\":\"%d/%d\",\"head_dim\":%d,\"scope\":%lld,\"sequences\":%zu,\"ms\":%.4f,"
          "\"ms_least\":%.4f,\"tflops\":%.0f}\n",
          properties_.name, s.name, dtype_info(s.dtype).name.data(), s.int8 ? "int8" : "16-bit",
          static_cast<long long>(s.n_queries), s.n_heads, s.n_kv_heads, s.head_dim,
          static_cast<long long>(scope), s.n_sequences, ms, times[0], flop / ms * 1e-9);
      std::fflush(stdout);
    }
    release();
  }

  // A step's way into the cache: n sequences' chunks of n_tokens, appended and quantised, and restored.
  void fill(int32_t n_kv_heads, int32_t head_dim, int64_t n_tokens, size_t n_sequences) {
    const int64_t row = int64_t{n_kv_heads} * head_dim;
    const int64_t n_pages = (n_tokens + kPageTokens - 1) / kPageTokens;
    std::vector<KvAppendArgs> append;
    std::vector<QuantizeKeysArgs> quantize;
    std::vector<RestoreRowsArgs> restore;
    for (size_t i = 0; i < n_sequences; ++i) {
      std::vector<void*> tables[2];
      for (auto& table : tables) {
        for (int64_t p = 0; p < n_pages; ++p) {
          table.push_back(take(static_cast<size_t>(kPageTokens * row) * 2));
        }
      }
      KvPages pages{upload(tables[0]), upload(tables[1]), DType::kBF16, n_kv_heads, head_dim};
      const float* from = upload(noise(static_cast<size_t>(n_tokens * row)));
      append.push_back({from, from, n_tokens, 0, pages});
      take_int8(pages, n_pages);
      quantize.push_back({pages, 0, complete_blocks(n_tokens)});
      restore.push_back({pages, 0, n_tokens});
    }
    const auto report = [&](const char* name, auto&& work) {
      work();
      std::vector<double> times;
      for (int repeat = 0; repeat < 11; ++repeat) {
        times.push_back(time([&] {
                          for (int i = 0; i < 50; ++i) work();
                        }) /
                        50);
      }
      std::sort(times.begin(), times.end());
      std::printf(
          "{\"bench\":\"%s\",\"device\":\"%s\",\"kv_heads\":%d,\"head_dim\":%d,\"tokens\":%lld,"
          "\"sequences\":%zu,\"ms\":%.4f,\"ms_least\":%.4f}\n",
          name, properties_.name, n_kv_heads, head_dim, static_cast<long long>(n_tokens),
          n_sequences, times[times.size() / 2], times[0]);
    };
    report("kv_append", [&] { cuda::kv_append(*ctx_, append); });
    report("quantize_keys", [&] { cuda::quantize_keys(*ctx_, quantize); });
    report("restore_rows", [&] { cuda::restore_rows(*ctx_, restore); });
    std::fflush(stdout);
    release();
  }

 private:
  // A pattern long enough that nothing repeats in step, from another place each time.
  std::vector<float> noise(size_t n) {
    std::vector<float> all(n);
    for (float& x : all) x = pattern_[++at_ % pattern_.size()];
    return all;
  }
  // Gives the pages' keys and values in int8, and takes the others away.
  void make_int8(KvPages& pages, int64_t n_pages) {
    take_int8(pages, n_pages);
    const QuantizeKeysArgs a{pages, 0, n_pages * kPageTokens};
    cuda::quantize_keys(*ctx_, {&a, 1});
    pages.k = pages.v = upload(std::vector<void*>(static_cast<size_t>(n_pages)));
  }
  void take_int8(KvPages& pages, int64_t n_pages) {
    const auto bytes =
        static_cast<size_t>(pages.n_kv_heads) * (static_cast<size_t>(kPageTokens * pages.head_dim) +
                                                 kPageTokens / kScaleBlock * sizeof(float));
    for (auto* table : {&pages.k8, &pages.v8}) {
      std::vector<void*> all;
      for (int64_t p = 0; p < n_pages; ++p) all.push_back(take(bytes));
      *table = upload(all);
    }
  }
  void release() {
    for (const auto& [memory, bytes] : taken_) memory_.release(memory, bytes);
    taken_.clear();
  }
  void* take(size_t bytes) {
    void* memory = memory_.allocate(bytes);
    taken_.emplace_back(memory, bytes);
    return memory;
  }
  template <class T>
  T* upload(const std::vector<T>& from) {
    const size_t bytes = from.size() * sizeof(T);
    void* to = take(bytes);
    cuda::check(cudaMemcpyAsync(to, from.data(), bytes, cudaMemcpyHostToDevice, stream_), "upload");
    cuda::check(cudaStreamSynchronize(stream_), "upload");
    return static_cast<T*>(to);
  }
  template <class F>
  double time(F&& work) {
    cudaEvent_t begin, end;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    cudaEventRecord(begin, stream_);
    work();
    cudaEventRecord(end, stream_);
    cuda::check(cudaEventSynchronize(end), "timing");
    float ms = 0;
    cudaEventElapsedTime(&ms, begin, end);
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return ms;
  }

  cuda::Memory memory_;
  cuda::Scratch scratch_;
  cuda::Lt lt_;
  cudaStream_t stream_ = nullptr;
  cudaDeviceProp properties_{};
  std::unique_ptr<cuda::Context> ctx_;
  std::vector<std::pair<void*, size_t>> taken_;
  std::vector<float> pattern_;
  size_t at_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const bool once = argc > 1 && std::strcmp(argv[1], "once") == 0;           // for a profiler
  const std::string only = argc > (once ? 2 : 1) ? argv[once ? 2 : 1] : "";  // shapes of this name
  const auto bf16 = DType::kBF16;
  const Shape shapes[] = {
      {"8B", 512, 32, 8, 128, 131'072, 32, 4'096, 4'064, bf16, 1},
      {"8B", 512, 32, 8, 128, 131'072, 32, 4'096, 4'064, bf16, 8},
      {"8B", 512, 32, 8, 128, 131'072, 32, 4'096, 4'064, bf16, 1, true},
      {"8B", 512, 32, 8, 128, 131'072, 32, 4'096, 4'064, bf16, 8, true},
      {"8B", 512, 32, 8, 128, 131'072, 32, 8'192, 8'192, bf16, 1},
      {"8B", 512, 32, 8, 128, 131'072, 32, 8'192, 8'192, bf16, 1, true},
      {"8B", 512, 32, 8, 128, 131'072, 32, 8'192, 8'192, bf16, 8},
      {"8B", 512, 32, 8, 128, 131'072, 32, 8'192, 8'192, bf16, 8, true},
      {"8B", 512, 32, 8, 128, 131'072, 32, 4'096, 4'064, DType::kF16, 1},
      {"8B", 512, 32, 8, 128, 131'072, 32, 4'096, 4'064, DType::kF16, 1, true},
      {"8B full", 512, 32, 8, 128, 131'072, 0, 131'072, 0, bf16, 1},
      {"8B short", 64, 32, 8, 128, 131'072, 32, 4'096, 4'064, bf16, 1},
      {"8B short", 64, 32, 8, 128, 131'072, 32, 4'096, 4'064, bf16, 1, true},
      {"135M", 512, 9, 3, 64, 131'072, 32, 1'024, 2'016, DType::kF16, 1},
      {"135M", 512, 9, 3, 64, 131'072, 32, 1'024, 2'016, DType::kF16, 8},
      {"135M", 512, 9, 3, 64, 131'072, 32, 4'096, 4'064, DType::kF16, 1},
      {"135M", 512, 9, 3, 64, 131'072, 32, 4'096, 4'064, DType::kF16, 1, true},
      {"135M", 512, 9, 3, 64, 131'072, 32, 4'096, 4'064, DType::kF16, 8},
      {"135M", 512, 9, 3, 64, 131'072, 32, 4'096, 4'064, DType::kF16, 8, true},
      {"135M", 512, 9, 3, 64, 131'072, 32, 4'096, 4'064, bf16, 8},
  };
  try {
    Bench bench;
    for (const Shape& s : shapes) {
      if (only.empty() || only == s.name) bench.run(s, once);
    }
    if (!once && (only.empty() || only == "fill")) {
      for (const size_t n : {1, 8}) bench.fill(8, 128, 512, n);
      bench.fill(3, 64, 512, 1);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
