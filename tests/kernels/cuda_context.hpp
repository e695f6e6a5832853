// A context of its own for tests and benchmarks of single CUDA launchers, and the capture of their work as a graph.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/device/loaded_code.hpp"
#include "kernels/cuda/linear/lt.hpp"

namespace reattn::kernels::cuda {

class OwnContext {
 public:
  OwnContext() : memory_(0), scratch_(memory_), context_(make()) {}
  ~OwnContext() {
    cudaStreamSynchronize(context_.stream);
    cudaStreamDestroy(context_.stream);
  }
  OwnContext(const OwnContext&) = delete;
  OwnContext& operator=(const OwnContext&) = delete;

  Context& get() { return context_; }
  Memory& memory() { return memory_; }
  // Waits for what was enqueued, and for what arrays in device memory were given.
  static void synchronize() { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

 private:
  Context make() {
    cudaDeviceProp p{};
    check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    const int32_t capability = 10 * p.major + p.minor;
    return {
        stream, scratch_, memory_, lt_, p.multiProcessorCount, capability, sm90a_code_is_loaded()};
  }

  Memory memory_;
  Scratch scratch_;
  Lt lt_;
  Context context_;
};

// What `work` enqueues on the stream, to be launched again and again.
class Graph {
 public:
  Graph(cudaStream_t stream, const std::function<void()>& work) : stream_(stream) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin capture");
    work();
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream, &graph), "end capture");
    check(cudaGraphInstantiate(&exec_, graph, 0), "cudaGraphInstantiate");
    cudaGraphDestroy(graph);
  }
  ~Graph() { cudaGraphExecDestroy(exec_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void launch() { check(cudaGraphLaunch(exec_, stream_), "cudaGraphLaunch"); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t exec_ = nullptr;
};

}  // namespace reattn::kernels::cuda
