// Times the kernels of a decode step, one JSON object a line: cuda_decode_bench [all | vote | step | profile [geometry [16-bit | int8]]]. Each figure is of one layer of
// one step, from the replay of a graph that goes through several layers, whose caches together do not fit the L2 cache.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/attend/attend_decode.hpp"
#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/select/score_decode.hpp"
#include "tests/kernels/cuda_context.hpp"

namespace {

using namespace reattn::kernels;
using cuda::check;

constexpr int64_t kGlobal = 32, kLocal = 4096, kAnchors = 127, kSpan = 32, kTopK = 4;
constexpr int64_t kPositions = 8704;  // of the RoPE table

struct Geometry {
  const char* name;
  int32_t n_heads, n_kv_heads, head_dim;
  DType dtype;
};
const Geometry kGeometries[] = {{"8B", 32, 8, 128, DType::kBF16}, {"SmolLM2", 9, 3, 64, DType::kF16}};

__device__ float noise(uint64_t x) {  // near enough to normal
  float sum = -2;
  for (int i = 0; i < 4; ++i) {
    x = (x + 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 31;
    sum += static_cast<float>(x >> 40) * 0x1p-24f;
  }
  return sum * 1.73f;
}
template <class T>
__global__ void fill_kernel(T* to, int64_t n, uint64_t seed, float factor) {
  const auto step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    to[i] = static_cast<T>(factor * noise(seed + static_cast<uint64_t>(i) * 4));
  }
}
template <class T>
void fill(T* to, int64_t n, uint64_t seed, float factor = 1) {
  fill_kernel<<<1024, 256>>>(to, n, seed << 40, factor);
  cuda::check_launch("fill_kernel");
}
// A page in int8: its numbers, then its scales, all the same.
void fill_int8_page(void* page, int64_t n, int64_t n_scales, uint64_t seed) {
  fill(static_cast<int8_t*>(page), n, seed, 32);
  const std::vector<float> scales(static_cast<size_t>(n_scales), 0x1p-5F);
  check(cudaMemcpy(static_cast<char*>(page) + n, scales.data(), scales.size() * sizeof(float), cudaMemcpyHostToDevice),
        "upload");
}

class Bench {
 public:
  template <class T>
  T* allocate(size_t n) {
    blocks_.push_back({context_.memory().allocate(n * sizeof(T)), n * sizeof(T)});
    return static_cast<T*>(blocks_.back().first);
  }
  template <class T>
  T* upload(const std::vector<T>& values) {
    T* to = allocate<T>(values.size());
    check(cudaMemcpy(to, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), "upload");
    return to;
  }
  ~Bench() {
    cudaDeviceSynchronize();
    for (const auto& [memory, bytes] : blocks_) context_.memory().release(memory, bytes);
  }
  cuda::Context& context() { return context_.get(); }

  // Median milliseconds of `work`, replayed.
  double median_ms(const std::function<void()>& work) {
    work();  // outside the capture first: modules are loaded, working memory grows
    context_.synchronize();
    cuda::Graph graph(context().stream, work);
    cudaEvent_t begin, end;
    check(cudaEventCreate(&begin), "event");
    check(cudaEventCreate(&end), "event");
    std::vector<float> times;
    for (int i = 0; i < 25; ++i) {
      check(cudaEventRecord(begin, context().stream), "record");
      graph.launch();
      check(cudaEventRecord(end, context().stream), "record");
      check(cudaEventSynchronize(end), "synchronize");
      float ms = 0;
      check(cudaEventElapsedTime(&ms, begin, end), "elapsed");
      if (i >= 5) times.push_back(ms);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

 private:
  cuda::OwnContext context_;
  std::vector<std::pair<void*, size_t>> blocks_;
};

// One sequence's cache and arrays of one layer.
struct Sequence {
  ScoreArgs score;
  VoteArgs vote;
  ExpandArgs expand;
  AttendArgs attend;
};

struct Rope {
  float *cos, *sin;
};

KvPages make_pages(Bench& bench, const Geometry& g, int64_t n_tokens, bool int8, uint64_t seed) {
  const int64_t n_pages = (n_tokens + kPageTokens - 1) / kPageTokens;
  const int64_t page = kPageTokens * g.n_kv_heads * g.head_dim;
  const int64_t n_scales = g.n_kv_heads * kPageTokens / kScaleBlock;
  std::vector<void*> tables[4];  // k, v, k8, v8
  for (int which = 0; which < 2; ++which) {
    std::vector<void*>& table = tables[which];
    const int64_t n_native = int8 ? 1 : n_pages;  // the last pages
    table.resize(static_cast<size_t>(n_pages - n_native));
    auto* memory = bench.allocate<uint16_t>(static_cast<size_t>(n_native * page));
    if (g.dtype == DType::kBF16) {
      fill(reinterpret_cast<__nv_bfloat16*>(memory), n_native * page, seed++);
    } else {
      fill(reinterpret_cast<__half*>(memory), n_native * page, seed++);
    }
    for (int64_t p = 0; p < n_native; ++p) table.push_back(memory + p * page);
    if (!int8) continue;
    const int64_t bytes = page + 4 * n_scales;
    auto* numbers = bench.allocate<int8_t>(static_cast<size_t>(n_pages * bytes));
    for (int64_t p = 0; p < n_pages; ++p) {
      fill_int8_page(numbers + p * bytes, page, n_scales, seed + static_cast<uint64_t>(8 * p));
      tables[2 + which].push_back(numbers + p * bytes);
    }
  }
  std::vector<void*>& shuffled = tables[int8 ? 2 : 0];
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(static_cast<unsigned>(seed)));
  KvPages pages{bench.upload(tables[0]), bench.upload(tables[1]), g.dtype, g.n_kv_heads, g.head_dim};
  if (int8) {
    pages.k8 = bench.upload(tables[2]);
    pages.v8 = bench.upload(tables[3]);
  }
  return pages;
}

Sequence make_sequence(Bench& bench, const Geometry& g, int64_t n_tokens, bool int8, const Rope& rope,
                       uint64_t seed) {
  const KvPages pages = make_pages(bench, g, n_tokens, int8, seed);
  const int64_t int8_end = int8 ? complete_blocks(n_tokens - 1) : 0;
  seed += 2;
  auto* q = bench.allocate<float>(static_cast<size_t>(g.n_heads * g.head_dim));
  fill(q, g.n_heads * g.head_dim, seed++);
  const int64_t end = n_tokens - kLocal, n_picks = g.n_heads * kTopK;
  auto* picks = bench.allocate<int32_t>(static_cast<size_t>(n_picks));
  auto* anchors = bench.allocate<int32_t>(kAnchors);
  auto* votes = bench.allocate<int32_t>(kAnchors);
  auto* n_anchors = bench.allocate<int32_t>(1);
  auto* positions = bench.allocate<int32_t>(kAnchors * kSpan);
  auto* n_positions = bench.allocate<int32_t>(1);
  auto* out = bench.allocate<float>(static_cast<size_t>(g.n_heads * g.head_dim));
  return {
      {q, 1, g.n_heads, pages, kGlobal, end, kTopK, 1, false, picks, int8_end},
      {picks, n_picks, kGlobal, end, kAnchors, anchors, votes, n_anchors},
      {anchors, n_anchors, kSpan, kGlobal, end, positions, n_positions},
      {q, 1, g.n_heads, pages, n_tokens, kGlobal, positions, n_positions, end,
       {rope.cos, rope.sin, kPositions, RopeLayout::kHalves},
       1 / std::sqrt(static_cast<float>(g.head_dim)), out, int8_end},
  };
}

Rope make_rope(Bench& bench, const Geometry& g) {
  std::vector<float> cos, sin;
  for (int64_t j = 0; j < kPositions; ++j) {
    for (int32_t i = 0; i < g.head_dim / 2; ++i) {
      const double angle = static_cast<double>(j) * std::pow(10000.0, -2.0 * i / g.head_dim);
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return {bench.upload(cos), bench.upload(sin)};
}

// profile: one step after another without a graph, for a profiler to look at.
void bench_step(const Geometry& g, int64_t n_tokens, int64_t n_sequences, bool int8, bool profile = false) {
  Bench bench;
  const Rope rope = make_rope(bench, g);
  const int64_t element = int8 ? 1 : 2;
  const int64_t scan_bytes = n_sequences * (n_tokens - kLocal) * g.n_kv_heads * g.head_dim * element;
  const int64_t n_layers = std::clamp<int64_t>((int64_t{256} << 20) / scan_bytes, 1, 32);
  struct Layer {
    std::vector<ScoreArgs> score;
    std::vector<VoteArgs> vote;
    std::vector<ExpandArgs> expand;
    std::vector<AttendArgs> attend;
  };
  std::vector<Layer> layers(static_cast<size_t>(n_layers));
  uint64_t seed = 1;
  for (Layer& layer : layers) {
    for (int64_t i = 0; i < n_sequences; ++i) {
      const Sequence s = make_sequence(bench, g, n_tokens, int8, rope, seed += 8);
      layer.score.push_back(s.score);
      layer.vote.push_back(s.vote);
      layer.expand.push_back(s.expand);
      layer.attend.push_back(s.attend);
    }
  }
  cuda::Context& c = bench.context();
  const auto ms = [&](const std::function<void(const Layer&)>& work) {
    return bench.median_ms([&] {
             for (const Layer& layer : layers) work(layer);
           }) / static_cast<double>(n_layers);
  };
  if (profile) {
    for (int i = 0; i < 2; ++i) {
      const Layer& l = layers[static_cast<size_t>(i % n_layers)];
      cuda::score_decode(c, l.score);
      cuda::vote(c, l.vote);
      cuda::expand(c, l.expand);
      cuda::attend_decode(c, l.attend);
    }
    return;
  }
  // The whole step first: what follows finds its picks and positions.
  const double step = ms([&](const Layer& l) {
    cuda::score_decode(c, l.score);
    cuda::vote(c, l.vote);
    cuda::expand(c, l.expand);
    cuda::attend_decode(c, l.attend);
  });
  const double score = ms([&](const Layer& l) { cuda::score_decode(c, l.score); });
  const double vote = ms([&](const Layer& l) { cuda::vote(c, l.vote); });
  const double expand = ms([&](const Layer& l) { cuda::expand(c, l.expand); });
  const double attend = ms([&](const Layer& l) { cuda::attend_decode(c, l.attend); });
  int32_t n_positions = 0;
  check(cudaMemcpy(&n_positions, layers[0].attend[0].n_recalled, 4, cudaMemcpyDeviceToHost), "download");
  const int64_t scope = kGlobal + n_positions + kLocal;
  const int64_t attend_bytes = n_sequences * scope * g.n_kv_heads * g.head_dim * 2 * element;
  std::printf(
      "{\"what\": \"step\", \"geometry\": \"%s\", \"cache\": \"%s\", \"tokens\": %lld, \"sequences\": %lld, \"layers\": %lld, \"scope\": %lld, "
      "\"step_ms\": %.4f, \"score_ms\": %.4f, \"score_gbps\": %.0f, \"vote_ms\": %.4f, \"expand_ms\": %.4f, "
      "\"attend_ms\": %.4f, \"attend_gbps\": %.0f}\n",
      g.name, int8 ? "int8" : "16-bit", static_cast<long long>(n_tokens), static_cast<long long>(n_sequences),
      static_cast<long long>(n_layers), static_cast<long long>(scope), step, score,
      static_cast<double>(scan_bytes) / score * 1e-6, vote, expand, attend,
      static_cast<double>(attend_bytes) / attend * 1e-6);
  std::fflush(stdout);
}

// Picks of a chunk: some positions are picked by many queries, most by few.
std::vector<int32_t> draw_picks(int64_t n, int64_t begin, int64_t end, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  std::vector<int32_t> picks(static_cast<size_t>(n));
  for (int32_t& p : picks) {
    const double at = std::pow(uniform(random), 4.0);
    const auto rank = static_cast<uint64_t>(at * static_cast<double>(end - begin));
    p = static_cast<int32_t>(begin + static_cast<int64_t>(rank * 0x9e3779b1ULL % static_cast<uint64_t>(end - begin)));
  }
  return picks;
}

void bench_vote(int64_t n_picks, int64_t n_tokens, int64_t n_sequences, int32_t n_anchors,
                bool profile = false) {
  Bench bench;
  std::vector<VoteArgs> votes;
  std::vector<ExpandArgs> expands;
  const int64_t end = n_tokens - kLocal;
  for (int64_t i = 0; i < n_sequences; ++i) {
    auto* anchors = bench.allocate<int32_t>(static_cast<size_t>(n_anchors));
    auto* n_found = bench.allocate<int32_t>(1);
    votes.push_back({bench.upload(draw_picks(n_picks, kGlobal, end, static_cast<unsigned>(i + 1))), n_picks, kGlobal, end,
                     n_anchors, anchors, bench.allocate<int32_t>(static_cast<size_t>(n_anchors)), n_found});
    expands.push_back({anchors, n_found, kSpan, kGlobal, end,
                       bench.allocate<int32_t>(static_cast<size_t>(n_anchors * kSpan)), bench.allocate<int32_t>(1)});
  }
  cuda::Context& c = bench.context();
  if (profile) {
    cuda::vote(c, votes);
    cuda::expand(c, expands);
    return;
  }
  constexpr int kRepeats = 20;
  const auto ms = [&](const std::function<void()>& work) {
    return bench.median_ms([&] {
             for (int i = 0; i < kRepeats; ++i) work();
           }) / kRepeats;
  };
  const double both = ms([&] {
    cuda::vote(c, votes);
    cuda::expand(c, expands);
  });
  const double vote = ms([&] { cuda::vote(c, votes); });
  std::printf(
      "{\"what\": \"vote\", \"picks\": %lld, \"tokens\": %lld, \"sequences\": %lld, \"anchors\": %d, \"both_ms\": %.4f, "
      "\"vote_ms\": %.4f}\n",
      static_cast<long long>(n_picks), static_cast<long long>(n_tokens),
      static_cast<long long>(n_sequences), n_anchors, both, vote);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "all", geometry = argc > 2 ? argv[2] : "all",
                    cache = argc > 3 ? argv[3] : "all";
  const auto is_wanted = [&](bool int8) { return cache == "all" || (cache == "int8") == int8; };
  try {
    if (what == "all" || what == "vote") {
      for (const int64_t picks : {36, 128, 1024, 4096, 65'536}) bench_vote(picks, 131'072, 1, 127);
      bench_vote(65'536, 1'048'576, 1, 256);
      bench_vote(18'432, 131'072, 8, 127);
      bench_vote(65'536, 131'072, 16, 256);
      bench_vote(65'536, 1'048'576, 16, 256);
    }
    if (what == "profile") {
      bench_vote(1024, 131'072, 1, 127, true);
      bench_vote(65'536, 131'072, 1, 256, true);
      for (const Geometry& g : kGeometries) {
        for (const int64_t n : {8'192, 131'072}) {
          for (const bool int8 : {false, true}) bench_step(g, n, 1, int8, true);
        }
      }
    }
    if (what == "all" || what == "step") {
      for (const Geometry& g : kGeometries) {
        if (geometry != "all" && geometry != g.name) continue;
        for (const bool int8 : {false, true}) {
          if (!is_wanted(int8)) continue;
          for (const int64_t n : {8'192, 32'768, 131'072, 1'048'576}) bench_step(g, n, 1, int8);
          for (const int64_t n : {8, 32}) bench_step(g, 131'072, n, int8);
        }
      }
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
