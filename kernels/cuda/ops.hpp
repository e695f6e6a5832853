// The operations of the CUDA device, enqueued on the context's stream. Arguments are those of the kernels' interface; q, k and v
// of new tokens are f32, the cache is F16, BF16 or F32, weights are BF16 or F8 (matrices) and f32 (vectors).
#pragma once

#include <span>

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/attend.hpp"
#include "reattn/kernels/linear.hpp"
#include "reattn/kernels/random.hpp"
#include "reattn/kernels/sample.hpp"
#include "reattn/kernels/select.hpp"

namespace reattn::kernels::cuda {

void fill_random(Context&, const Matrix&, const RandomArgs&);
void embed(Context&, const EmbedArgs&);
void rms_norm(Context&, const RmsNormArgs&);
void matmul(Context&, const MatmulArgs&);
void swiglu(Context&, const SwigluArgs&);
void geglu(Context&, const SwigluArgs&);
void qkv(Context&, const QkvArgs&);
void mlp(Context&, const MlpArgs&);
void kv_append(Context&, std::span<const KvAppendArgs>);
void quantize_keys(Context&, std::span<const QuantizeKeysArgs>);
void restore_rows(Context&, std::span<const RestoreRowsArgs>);
void score(Context&, std::span<const ScoreArgs>);
void vote(Context&, std::span<const VoteArgs>);
void expand(Context&, std::span<const ExpandArgs>);
void recall(Context&, std::span<const ScoreArgs>, std::span<const VoteArgs>,
            std::span<const ExpandArgs>);
void attend(Context&, std::span<const AttendArgs>);
void sample(Context&, const SampleArgs&);
void logprob(Context&, const LogprobArgs&);

}  // namespace reattn::kernels::cuda
