#include "kernels/cuda/device/step_graphs.hpp"

#include <algorithm>

#include "kernels/cuda/device/error.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr size_t kMost = 8;  // models and settings whose steps differ in their nodes

struct DestroyGraph {
  cudaGraph_t graph;
  ~DestroyGraph() {
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
};

}  // namespace

StepGraphs::~StepGraphs() {
  for (const Known& k : known_) cudaGraphExecDestroy(k.exec);
}

void StepGraphs::begin(cudaStream_t stream) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}

void StepGraphs::launch(cudaStream_t stream) {
  DestroyGraph captured{};
  check(cudaStreamEndCapture(stream, &captured.graph), "cudaStreamEndCapture");
  check(cudaGraphLaunch(exec_of(captured.graph), stream), "cudaGraphLaunch");
}

void StepGraphs::forget(cudaStream_t stream) noexcept {
  DestroyGraph captured{};
  cudaStreamEndCapture(stream, &captured.graph);
  cudaGetLastError();
}

cudaGraphExec_t StepGraphs::exec_of(cudaGraph_t graph) {
  size_t n_nodes = 0;
  check(cudaGraphGetNodes(graph, nullptr, &n_nodes), "cudaGraphGetNodes");
  const auto at = std::find_if(known_.begin(), known_.end(),
                               [&](const Known& k) { return k.n_nodes == n_nodes; });
  if (at != known_.end()) {
    cudaGraphExecUpdateResultInfo info{};
    if (cudaGraphExecUpdate(at->exec, graph, &info) == cudaSuccess) {
      std::rotate(known_.begin(), at, at + 1);
      return known_.front().exec;
    }
    cudaGetLastError();
    cudaGraphExecDestroy(at->exec);
    known_.erase(at);
  }
  if (known_.size() == kMost) {
    cudaGraphExecDestroy(known_.back().exec);
    known_.pop_back();
  }
  known_.reserve(kMost);
  cudaGraphExec_t exec = nullptr;
  check(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
  known_.insert(known_.begin(), {n_nodes, exec});
  return exec;
}

}  // namespace reattn::kernels::cuda
