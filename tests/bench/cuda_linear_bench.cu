// Times the dense layers of the CUDA device: cuda_linear_bench. A JSON line each.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/linear/f8.hpp"
#include "kernels/cuda/ops.hpp"
#include "tests/kernels/cuda_context.hpp"

namespace {

using namespace reattn::kernels;  // NOLINT: a program of its own
using reattn::kernels::cuda::check;

// Uniform in ±scale, from a hash of the index.
template <class T>
__global__ void fill_kernel(T* out, int64_t n, float scale, uint32_t seed) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * blockDim.x) {
    uint32_t h = static_cast<uint32_t>(i) * 2654435761u ^ seed;
    h = (h ^ h >> 15) * 2246822519u;
    h = (h ^ h >> 13) * 3266489917u;
    const float v = (static_cast<float>(h >> 8) * 0x1p-23f - 1.0F) * scale;
    if constexpr (sizeof(T) == 2) {
      out[i] = static_cast<T>(__float_as_uint(v) >> 16);
    } else {
      out[i] = v;
    }
  }
}

struct Bench {
  cuda::OwnContext own;
  cuda::Context& ctx = own.get();
  uint32_t seed = 1;

  template <class T>
  T* array(int64_t n, float scale = 1) {
    T* p = static_cast<T*>(own.memory().allocate(static_cast<size_t>(n) * sizeof(T)));
    fill_kernel<<<1024, 256, 0, ctx.stream>>>(p, n, scale, seed += 77);
    check(cudaGetLastError(), "fill_kernel");
    return p;
  }
  Matrix matrix(DType type, int64_t n_rows, int64_t n_cols) {
    const Matrix plain{array<uint16_t>(n_rows * n_cols, 0.03F), DType::kBF16, n_rows, n_cols};
    if (type == DType::kBF16) return plain;
    const Matrix held{array<float>(n_rows * n_cols / 4), DType::kF8, n_rows, n_cols,
                      array<float>(n_rows)};
    cuda::quantize_rows(ctx, {plain, held});
    check(cudaStreamSynchronize(ctx.stream), "quantize_rows");
    own.memory().release(const_cast<void*>(plain.data), static_cast<size_t>(n_rows * n_cols) * 2);
    return held;
  }

  // Median microseconds of one of the n_calls that `enqueue` makes, as a graph so that the host
  // does not matter.
  double microseconds(int n_calls, const std::function<void()>& enqueue) {
    enqueue();  // what grows has grown
    check(cudaStreamSynchronize(ctx.stream), "warm-up");
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    check(cudaStreamBeginCapture(ctx.stream, cudaStreamCaptureModeThreadLocal), "capture");
    enqueue();
    check(cudaStreamEndCapture(ctx.stream, &graph), "capture");
    check(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
    cudaEvent_t begin, end;
    check(cudaEventCreate(&begin), "event");
    check(cudaEventCreate(&end), "event");
    std::vector<float> times;
    for (int i = 0; i < 14; ++i) {
      check(cudaEventRecord(begin, ctx.stream), "event");
      check(cudaGraphLaunch(exec, ctx.stream), "cudaGraphLaunch");
      check(cudaEventRecord(end, ctx.stream), "event");
      check(cudaEventSynchronize(end), "run");
      float ms = 0;
      check(cudaEventElapsedTime(&ms, begin, end), "event");
      if (i >= 3) times.push_back(ms);
    }
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    return times[times.size() / 2] * 1e3 / n_calls;
  }
};

struct Geometry {
  const char* name;
  int64_t n_embd, n_q, n_kv, n_ff;
  int n_layers;  // in memory, so that weights come from there
  DType type = DType::kBF16;
};

struct Layer {
  Matrix q, k, v, o, gate, up, down;
};

void products(Bench& b, const char* model, const char* name, int64_t n_out, int64_t n_in,
              std::vector<int64_t> rows, const std::vector<Matrix>& w, float* x, float* out) {
  for (const int64_t n : rows) {
    const double us = b.microseconds(static_cast<int>(w.size()), [&] {
      for (const Matrix& m : w) cuda::matmul(b.ctx, {x, n, m, nullptr, out, false});
    });
    const double flop = 2.0 * static_cast<double>(n * n_out * n_in),
                 bytes = static_cast<double>(row_bytes(w[0].dtype, n_out * n_in));
    std::printf(
        "{\"op\":\"matmul\",\"model\":\"%s\",\"w\":\"%s\",\"rows\":%lld,\"us\":%.2f,\"tflops\":%."
        "1f,\"gbps\":%.0f}\n",
        model, name, static_cast<long long>(n), us, flop / us * 1e-6, bytes / us * 1e-3);
  }
}

void layers(Bench& b, const Geometry& g, const std::vector<int64_t>& gemv_rows,
            const std::vector<int64_t>& rows) {
  std::vector<Layer> all;
  for (int i = 0; i < g.n_layers; ++i) {
    const auto matrix = [&](int64_t rows, int64_t cols) { return b.matrix(g.type, rows, cols); };
    all.push_back({matrix(g.n_q, g.n_embd), matrix(g.n_kv, g.n_embd), matrix(g.n_kv, g.n_embd),
                   matrix(g.n_embd, g.n_q), matrix(g.n_ff, g.n_embd), matrix(g.n_ff, g.n_embd),
                   matrix(g.n_embd, g.n_ff)});
  }
  const int64_t most = *std::max_element(rows.begin(), rows.end());
  float* x = b.array<float>(most * g.n_embd);
  float* norm = b.array<float>(g.n_embd);
  float* normed = b.array<float>(most * g.n_embd);
  float* q = b.array<float>(most * g.n_q);
  float* k = b.array<float>(most * g.n_kv);
  float* v = b.array<float>(most * g.n_kv);
  float* gate = b.array<float>(most * g.n_ff);
  float* up = b.array<float>(most * g.n_ff);

  std::vector<Matrix> by[5];
  for (const Layer& l : all) {
    by[0].push_back(l.q);
    by[1].push_back(l.k);
    by[2].push_back(l.o);
    by[3].push_back(l.gate);
    by[4].push_back(l.down);
  }
  products(b, g.name, "q", g.n_q, g.n_embd, gemv_rows, by[0], x, q);
  products(b, g.name, "k", g.n_kv, g.n_embd, gemv_rows, by[1], x, k);
  products(b, g.name, "gate", g.n_ff, g.n_embd, gemv_rows, by[3], x, gate);
  products(b, g.name, "down", g.n_embd, g.n_ff, gemv_rows, by[4], gate, normed);

  for (const int64_t n : rows) {
    const auto qkv = [&](const Layer& l) {
      cuda::qkv(b.ctx, {x, n, g.n_embd, norm, 1e-5F, l.q, l.k, l.v, nullptr, nullptr, nullptr,
                        normed, q, k, v});
    };
    const auto output = [&](const Layer& l) { cuda::matmul(b.ctx, {q, n, l.o, nullptr, x, true}); };
    const auto mlp = [&](const Layer& l) {
      cuda::mlp(b.ctx,
                {x, n, g.n_embd, g.n_ff, norm, 1e-5F, l.gate, l.up, l.down, normed, gate, up});
    };
    const auto time = [&](const std::function<void(const Layer&)>& f) {
      return b.microseconds(g.n_layers, [&] {
        for (const Layer& l : all) f(l);
      });
    };
    const double t_qkv = time(qkv), t_output = time(output), t_mlp = time(mlp);
    const double us = time([&](const Layer& l) {
      qkv(l);
      output(l);
      mlp(l);
    });
    const double weights = static_cast<double>(g.n_embd * (2 * g.n_q + 2 * g.n_kv + 3 * g.n_ff));
    std::printf(
        "{\"op\":\"layer\",\"model\":\"%s\",\"rows\":%lld,\"us\":%.2f,\"qkv_us\":%.2f,\"output_"
        "us\":%.2f,\"mlp_us\":%.2f,"
        "\"tflops\":%.1f,\"gbps\":%.0f}\n",
        g.name, static_cast<long long>(n), us, t_qkv, t_output, t_mlp,
        2 * weights * static_cast<double>(n) / us * 1e-6,
        static_cast<double>(row_bytes(g.type, 1)) * weights / us * 1e-3);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const bool f8_alone = argc > 1 && std::string(argv[1]) == "f8";  // and what it is compared with
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
  std::printf("{\"device\":\"%s\"}\n", p.name);
  for (const DType type : {DType::kBF16, DType::kF8}) {
    Bench b;
    layers(b,
           {type == DType::kF8 ? "8B, F8" : "8B", 4096, 4096, 1024, 14336,
            type == DType::kF8 ? 6 : 3, type},
           {1, 4, 8, 512, 4096}, {1, 2, 4, 8, 16, 64, 128, 512, 1024, 2048, 4096});
  }
  if (f8_alone) return 0;
  {
    Bench b;
    layers(b, {"SmolLM2", 576, 576, 192, 1536, 30}, {1, 4, 512}, {1, 4, 512, 4096});
  }
  Bench b;
  int32_t* token = static_cast<int32_t*>(b.own.memory().allocate(8));
  float* logprob = reinterpret_cast<float*>(token + 1);
  for (const int64_t n : {49'152, 128'256}) {
    const float* logits = b.array<float>(n, 12.0F);
    const auto time = [&](const char* what, float temperature, int32_t top_k, float top_p,
                          float min_p) {
      const double us = b.microseconds(10, [&] {
        for (int i = 0; i < 10; ++i) {
          cuda::sample(b.ctx, {logits, n, temperature, top_k, top_p, min_p, 0.5, token, logprob});
        }
      });
      std::printf("{\"op\":\"sample\",\"how\":\"%s\",\"n_vocab\":%lld,\"us\":%.2f}\n", what,
                  static_cast<long long>(n), us);
    };
    time("greedy", 0, 0, 1, 0);
    time("temperature", 1, 0, 1, 0);
    time("top_k, top_p, min_p", 0.8F, 40, 0.95F, 0.05F);
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
