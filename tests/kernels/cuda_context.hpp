<<<<<<< HEAD
// The CUDA operations without the device around them: their own stream, memory and library.
=======
// A context of its own for tests and benchmarks of single CUDA launchers, and the capture of their work as a graph.
>>>>>>> 9011d67 (kernels/cuda: Add vote, expansion and the kernels of few queries)
#pragma once

#include <cuda_runtime_api.h>

<<<<<<< HEAD
=======
#include <functional>

>>>>>>> 9011d67 (kernels/cuda: Add vote, expansion and the kernels of few queries)
#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/linear/lt.hpp"

<<<<<<< HEAD
namespace reattn::kernels {

// Where there is a device. finish() waits for what was enqueued; what the fixture's arrays were
// given has to be waited for too.
struct OwnContext {
  OwnContext() : memory(0), scratch(memory) {
    cudaDeviceProp p{};
    cuda::check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
    cuda::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    n_sms = p.multiProcessorCount;
    capability = 10 * p.major + p.minor;
  }
  ~OwnContext() {
    cudaDeviceSynchronize();
    cudaStreamDestroy(stream);
=======
namespace reattn::kernels::cuda {

class OwnContext {
 public:
  OwnContext() : memory_(0), scratch_(memory_), context_(make()) {}
  ~OwnContext() {
    cudaStreamSynchronize(context_.stream);
    cudaStreamDestroy(context_.stream);
>>>>>>> 9011d67 (kernels/cuda: Add vote, expansion and the kernels of few queries)
  }
  OwnContext(const OwnContext&) = delete;
  OwnContext& operator=(const OwnContext&) = delete;

<<<<<<< HEAD
  static void finish() { cuda::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

  cuda::Memory memory;
  cuda::Scratch scratch;
  cuda::Lt lt;
  cudaStream_t stream = nullptr;
  int32_t n_sms = 0, capability = 0;
  cuda::Context context() {
    return {stream, scratch, memory, lt, n_sms, capability, capability == 90};
  }
};

}  // namespace reattn::kernels
=======
  Context& get() { return context_; }
  Memory& memory() { return memory_; }
  void synchronize() { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

 private:
  Context make() {
    cudaDeviceProp p{};
    check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    const int32_t capability = 10 * p.major + p.minor;
    return {stream, scratch_, memory_, lt_, p.multiProcessorCount, capability, capability == 90};
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
>>>>>>> 9011d67 (kernels/cuda: Add vote, expansion and the kernels of few queries)
