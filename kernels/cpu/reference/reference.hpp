// Every operation as plain loops: the specification, and the oracle of every faster version.
#pragma once

#include "reattn/kernels/device.hpp"

namespace reattn::kernels::reference {

void embed(const EmbedArgs& a);
void rms_norm(const RmsNormArgs& a);
void matmul(const MatmulArgs& a);
void quantize_rows(const QuantizeRowsArgs& a);
void swiglu(const SwigluArgs& a);
void geglu(const SwigluArgs& a);
void kv_append(const KvAppendArgs& a);
void quantize_keys(const QuantizeKeysArgs& a);
void restore_rows(const RestoreRowsArgs& a);
void score(const ScoreArgs& a);
void vote(const VoteArgs& a);
void expand(const ExpandArgs& a);
void attend(const AttendArgs& a);
void sample(const SampleArgs& a);
void logprob(const LogprobArgs& a);

}  // namespace reattn::kernels::reference
