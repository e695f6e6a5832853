// Times scoring on the CUDA device, in BF16 and in int8, JSON lines out: cuda_score_bench [model, what or scores] [keys].
#include <cuda_bf16.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/device/loaded_code.hpp"
#include "kernels/cuda/linear/lt.hpp"
#include "kernels/cuda/ops.hpp"

namespace {

using namespace reattn::kernels;  // NOLINT: a bench
using cuda::check;

__device__ float normal(uint64_t i) {
  const auto mix = [](uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  };
  const uint64_t bits = mix(mix(i + 0x9e3779b97f4a7c15ULL) + i);
  const float u = (static_cast<float>(bits >> 40) + 0.5F) * 0x1p-24F;
  const float v = static_cast<float>(bits & 0xffffff) * 0x1p-24F;
  return sqrtf(-2 * logf(u)) * cospif(2 * v);
}
__global__ void fill(__nv_bfloat16* out, int64_t n, uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < n; i += int64_t{gridDim.x} * blockDim.x) {
    out[i] = __float2bfloat16(normal(seed + static_cast<uint64_t>(i)));
  }
}
__global__ void fill(float* out, int64_t n, uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < n; i += int64_t{gridDim.x} * blockDim.x) {
    out[i] = normal(seed + static_cast<uint64_t>(i));
  }
}

struct Work {
  Work() {
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    cudaDeviceProp p{};
    check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
    name = p.name;
    n_sms = p.multiProcessorCount;
    capability = 10 * p.major + p.minor;
  }
  cudaStream_t stream = nullptr;
  std::string name;
  int32_t n_sms, capability;
};

struct Model {
  const char* name;
  int32_t n_heads, n_kv_heads, head_dim;
};

template <class T>
T* filled(cuda::Context& ctx, cuda::Memory& memory, int64_t n, uint64_t seed) {
  auto* at = static_cast<T*>(memory.allocate(static_cast<size_t>(n) * sizeof(T)));
  fill<<<4 * ctx.n_sms, 512, 0, ctx.stream>>>(at, n, seed);
  cuda::check_launch("fill");
  return at;
}

void time(cuda::Context& ctx, const std::string& device, const Model& m, const char* what, int64_t n_keys,
          const char* scores, const std::vector<ScoreArgs>& list) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin), "cudaEventCreate");
  check(cudaEventCreate(&end), "cudaEventCreate");
  double flop = 0;
  for (const ScoreArgs& a : list) {
    flop += 2.0 * static_cast<double>(n_voters(a.n_queries, a.vote_stride)) * a.n_heads * m.head_dim *
            static_cast<double>(a.middle_end - a.middle_begin);
  }
  const auto run = [&] { cuda::score(ctx, list); };
  run();
  check(cudaStreamSynchronize(ctx.stream), "score");
  const int n_in_a_row = flop < 2e11 ? 10 : 1;  // short ones back to back, as in an engine's stream
  std::vector<float> ms;
  for (double spent = 0; ms.size() < 5 || (spent < 120 && ms.size() < 50);) {
    check(cudaEventRecord(begin, ctx.stream), "cudaEventRecord");
    for (int i = 0; i < n_in_a_row; ++i) run();
    check(cudaEventRecord(end, ctx.stream), "cudaEventRecord");
    check(cudaEventSynchronize(end), "cudaEventSynchronize");
    float t = 0;
    check(cudaEventElapsedTime(&t, begin, end), "cudaEventElapsedTime");
    ms.push_back(t / static_cast<float>(n_in_a_row));
    spent += t;
  }
  std::sort(ms.begin(), ms.end());
  const double median = ms[ms.size() / 2];
  std::printf("{\"op\":\"score\",\"device\":\"%s\",\"model\":\"%s\",\"what\":\"%s\",\"scores\":\"%s\",\"keys\":%lld,"
              "\"ms\":%.4f,\"best_ms\":%.4f,\"tflops\":%.1f}\n",
              device.c_str(), m.name, what, scores, static_cast<long long>(n_keys), median, ms[0],
              flop / median * 1e-9);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  const char* only = argc > 1 ? argv[1] : "";
  const int64_t only_keys = argc > 2 ? std::atoll(argv[2]) : 0;
  const auto wanted = [&](const char* model, const char* what, const char* scores, int64_t n_keys) {
    const auto is = [&](const char* name) { return std::strstr(name, only) != nullptr; };
    return (is(what) || is(model) || is(scores)) && (only_keys == 0 || only_keys == n_keys);
  };
  check(cudaSetDevice(0), "cudaSetDevice");
  Work work;
  cuda::Memory memory(0);
  cuda::Scratch scratch(memory);
  cuda::Lt lt;
  cuda::Context ctx{work.stream, scratch, memory, lt, work.n_sms, work.capability, cuda::sm90a_code_is_loaded()};
  constexpr int64_t kMost = int64_t{1} << 20, kChunk = 512, kSuper = 8;
  for (const Model& m : {Model{"8B", 32, 8, 128}, Model{"SmolLM2", 9, 3, 64}}) {
    const int64_t page = m.n_kv_heads * kPageTokens * m.head_dim, n_pages = kMost / kPageTokens + kSuper;
    const auto* keys = filled<__nv_bfloat16>(ctx, memory, page * n_pages, 1);
    std::vector<void*> table;
    for (int64_t p = 0; p < n_pages; ++p) {  // out of order, as pages get in time
      table.push_back(const_cast<__nv_bfloat16*>(keys) + page * (p * 37 % n_pages));
    }
    const int64_t page8 = (m.n_kv_heads * (kPageTokens * m.head_dim + 16) + 255) / 256 * 256;
    auto* keys8 = static_cast<std::byte*>(memory.allocate(static_cast<size_t>(page8 * n_pages)));
    for (int64_t p = 0; p < n_pages; ++p) table.push_back(keys8 + page8 * (p * 37 % n_pages));
    auto* pages = static_cast<void**>(memory.allocate(table.size() * sizeof(void*)));
    check(cudaMemcpyAsync(pages, table.data(), table.size() * sizeof(void*), cudaMemcpyHostToDevice, ctx.stream),
          "cudaMemcpyAsync");
    const KvPages cache{pages, pages, DType::kBF16, m.n_kv_heads, m.head_dim, pages + n_pages};
    const QuantizeKeysArgs quantize{cache, 0, n_pages * kPageTokens};
    cuda::quantize_keys(ctx, {&quantize, 1});
    const float* q = filled<float>(ctx, memory, kSuper * kChunk * m.n_heads * m.head_dim, 1ULL << 40);
    auto* picks = static_cast<int32_t*>(memory.allocate(sizeof(int32_t) * kSuper * kChunk * m.n_heads * 16));
    check(cudaStreamSynchronize(ctx.stream), "cudaStreamSynchronize");

    const ScoreArgs chunk{q, kChunk, m.n_heads, cache, 32, 0, 4, 1, false, picks};
    const auto both = [&](const char* what, int64_t n_keys, std::vector<ScoreArgs> list) {
      if (wanted(m.name, what, "bf16", n_keys)) time(ctx, work.name, m, what, n_keys, "bf16", list);
      for (ScoreArgs& a : list) a.int8_end = (a.middle_end + kScaleBlock - 1) / kScaleBlock * kScaleBlock;
      if (wanted(m.name, what, "int8", n_keys)) time(ctx, work.name, m, what, n_keys, "int8", list);
    };
    const auto one = [&](const char* what, int64_t n_keys, auto change) {
      ScoreArgs a = chunk;
      a.middle_end = 32 + n_keys;
      change(a);
      both(what, n_keys, {a});
    };
    const auto many = [&](const char* what, int64_t n_keys) {
      std::vector<ScoreArgs> list;
      for (int64_t i = 0; i < kSuper; ++i) {
        ScoreArgs a = chunk;
        a.q += i * kChunk * m.n_heads * m.head_dim;
        a.picks += i * kChunk * m.n_heads * 4;
        a.middle_end = 32 + n_keys - (kSuper - 1 - i) * kChunk;
        list.push_back(a);
      }
      both(what, n_keys, list);
    };
    const auto same = [](ScoreArgs&) {};
    for (const int64_t n_keys : {8'192, 32'768, 131'072, 1'048'576}) one("chunk", n_keys, same);
    for (const int64_t n_keys : {8'192, 32'768, 131'072}) many("super", n_keys);
    for (const int64_t n_keys : {32'768, 131'072}) {
      one("block1", n_keys, [](ScoreArgs& a) { a.block1 = true; });
      one("top1", n_keys, [](ScoreArgs& a) { a.top_k = 1; });
      one("top16", n_keys, [](ScoreArgs& a) { a.top_k = 16; });
      one("question", n_keys, [](ScoreArgs& a) { a.n_queries = 30; });
    }
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "cuda_score_bench: %s\n", e.what());
  return 1;
}
