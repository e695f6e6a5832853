// The fast CPU versions of the operations, dispatched at run time to the machine's vector instructions.
#pragma once

#include "kernels/cpu/device/scratch.hpp"
#include "kernels/cpu/device/thread_pool.hpp"
#include "reattn/kernels/device.hpp"

namespace reattn::kernels::cpu {

struct Context {
  ThreadPool& pool;
  ScratchPool& scratch;
  const std::atomic<bool>* cancel;  // may be null
};

void embed(const Context& c, const EmbedArgs& a);
void rms_norm(const Context& c, const RmsNormArgs& a);
void matmul(const Context& c, const MatmulArgs& a);
void swiglu(const Context& c, const SwigluArgs& a);
void geglu(const Context& c, const SwigluArgs& a);
void kv_append(const Context& c, const KvAppendArgs& a);
void quantize_keys(const Context& c, const QuantizeKeysArgs& a);
void score(const Context& c, const ScoreArgs& a);
void attend(const Context& c, const AttendArgs& a);
void sample(const Context& c, const SampleArgs& a);
void logprob(const Context& c, const LogprobArgs& a);
// vote, expand and restore_rows are the reference ones: they cost nothing beside the scoring.

}  // namespace reattn::kernels::cpu
