// Embedding rows, RMSNorm, SwiGLU and GeGLU: the cutting into tasks.
#include <algorithm>

#include "kernels/cpu/linear/elementwise.hpp"
#include "kernels/cpu/linear/rows.hpp"
#include "kernels/cpu/ops.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr int64_t kTaskElements = 16384;

int64_t rows_per_task(int64_t n_cols) {
  return std::max<int64_t>(1, kTaskElements / std::max<int64_t>(n_cols, 1));
}

}  // namespace

void embed(const Context& c, const EmbedArgs& a) {
  const int64_t n_embd = a.table.n_cols, task_rows = rows_per_task(n_embd);
  const int32_t block = dtype_info(a.table.dtype).block_elements;
  if (n_embd < 0 || n_embd % block != 0) {
    fail(ErrorCode::kInternal, "embed: rows of ", n_embd, " elements of ",
         dtype_info(a.table.dtype).name, ", blocks of ", block);
  }
  c.pool.run((a.n_rows + task_rows - 1) / task_rows, c.cancel, [&](int64_t task) {
    const int64_t end = std::min((task + 1) * task_rows, a.n_rows);
    for (int64_t i = task * task_rows; i < end; ++i) {
      if (a.ids[i] < 0 || a.ids[i] >= a.table.n_rows) {
        fail(ErrorCode::kInternal, "embed: id ", a.ids[i], " of a table with ", a.table.n_rows,
             " rows");
      }
      float* out = a.out + i * n_embd;
      unpack_rows(a.table, a.ids[i], 1, out);
      if (a.scale != 1) {
        for (int64_t j = 0; j < n_embd; ++j) out[j] *= a.scale;
      }
    }
  });
}

void rms_norm(const Context& c, const RmsNormArgs& a) {
  const int64_t task_rows = rows_per_task(a.n_cols);
  c.pool.run((a.n_rows + task_rows - 1) / task_rows, c.cancel, [&](int64_t task) {
    const int64_t end = std::min((task + 1) * task_rows, a.n_rows);
    const ScratchPool::Lease lease(
        c.scratch, a.accumulate ? sizeof(float) * static_cast<size_t>(a.n_cols) : 0);
    for (int64_t i = task * task_rows; i < end; ++i) {
      float* out = a.out + i * a.n_cols;
      float* normed = a.accumulate ? lease.as<float>() : out;
      rms_norm_row(a.x + i * a.n_cols, a.weight, a.n_cols, a.eps, normed);
      if (!a.accumulate) continue;
      for (int64_t j = 0; j < a.n_cols; ++j) out[j] += normed[j];
    }
  });
}

namespace {

void glu(const Context& c, const SwigluArgs& a,
         void (*range)(const float* gate, const float* up, int64_t n, float* out)) {
  c.pool.run((a.n + kTaskElements - 1) / kTaskElements, c.cancel, [&](int64_t task) {
    const int64_t begin = task * kTaskElements, n = std::min(kTaskElements, a.n - begin);
    range(a.gate + begin, a.up + begin, n, a.out + begin);
  });
}

}  // namespace

void swiglu(const Context& c, const SwigluArgs& a) {
  glu(c, a, swiglu_range);
}

void geglu(const Context& c, const SwigluArgs& a) {
  glu(c, a, geglu_range);
}

}  // namespace reattn::kernels::cpu
