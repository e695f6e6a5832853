// Steps of generating as CUDA graphs: each is captured and launched at once. Of as many nodes as one before it, a step is brought
// into that one's executable graph, which takes less time than making its own.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <vector>

namespace reattn::kernels::cuda {

class StepGraphs {
 public:
  StepGraphs() = default;
  ~StepGraphs();
  StepGraphs(const StepGraphs&) = delete;
  StepGraphs& operator=(const StepGraphs&) = delete;

  // From here on what is enqueued by this thread is captured, until one of the two ends it.
  void begin(cudaStream_t stream);
  void launch(cudaStream_t stream);
  void forget(cudaStream_t stream) noexcept;

 private:
  struct Known {
    size_t n_nodes;
    cudaGraphExec_t exec;
  };
  cudaGraphExec_t exec_of(cudaGraph_t graph);

  std::vector<Known> known_;  // the one used last first
};

}  // namespace reattn::kernels::cuda
