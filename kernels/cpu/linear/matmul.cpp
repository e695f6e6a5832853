// Matrix products: few rows in place on the packed weights, many rows by oneDNN on tiles of
// unpacked ones.
#include <dnnl.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/linear/bf16_tiles.hpp"
#include "kernels/cpu/linear/quant_rows.hpp"
#include "kernels/cpu/linear/rows.hpp"
#include "kernels/cpu/ops.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr int64_t kDotWeights = 32768;  // of one task, some microseconds of work
// oneDNN rounds the last rows of a product differently when their number is no multiple of its inner
// kernel's (6 with AVX2, 8 with AVX-512). Rows are padded to a multiple of both, so that a row's
// result does not depend on how many others are in the call.
constexpr int64_t kRowUnit = 24;
constexpr int64_t kTileRows = 192;
constexpr int64_t kTileCols = 96;  // a tile's unpacked weights should fit the second-level cache
constexpr int64_t kTasksPerThread = 4;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
int64_t round_up(int64_t a, int64_t unit) {
  return ceil_div(a, unit) * unit;
}

// c [m, n] (rows ldc apart) = a [m, k] · b [n, k]ᵀ + beta · c
void sgemm(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float beta, float* c,
           int64_t ldc) {
  const dnnl_status_t status = dnnl_sgemm('N', 'T', m, n, k, 1.0F, a, k, b, k, beta, c, ldc);
  if (status == dnnl_out_of_memory) {
    fail(ErrorCode::kOomHost, "oneDNN has no working memory for a product [", m, ", ", k, "] x [",
         n, ", ", k, "]");
  }
  if (status != dnnl_success) {
    fail(ErrorCode::kInternal, "oneDNN refused a product [", m, ", ", k, "] x [", n, ", ", k,
         "] with status ", static_cast<int>(status));
  }
}

void add_bias(const MatmulArgs& a, int64_t row_begin, int64_t row_end, int64_t begin, int64_t end) {
  if (a.bias == nullptr) return;
  for (int64_t r = row_begin; r < row_end; ++r) {
    float* out = a.out + r * a.w.n_rows;
    for (int64_t o = begin; o < end; ++o) out[o] += a.bias[o];
  }
}

void matmul_few_rows(const Context& c, const MatmulArgs& a) {
  const int64_t n_out = a.w.n_rows, n_in = a.w.n_cols;
  const bool rounded = has_quantised_dot(a.w.dtype);
  const ScratchPool::Lease rounded_lease(c.scratch, rounded ? rounded_bytes(a.n_rows, n_in) : 0);
  auto* x = rounded_lease.as<std::byte>();
  if (rounded) round_rows(a.x, a.n_rows, n_in, a.w.dtype, x);
  const auto dot = [&](int64_t begin, int64_t end, float* out, int64_t stride) {
    if (rounded) {
      dot_quantised(a.w, begin, end, x, a.n_rows, out, stride);
    } else {
      dot_rows(a.w, begin, end, a.x, a.n_rows, out, stride);
    }
  };

  const int64_t task_rows = std::max<int64_t>(1, kDotWeights / std::max<int64_t>(n_in, 1));
  c.pool.run(ceil_div(n_out, task_rows), c.cancel, [&](int64_t task) {
    const int64_t begin = task * task_rows, end = std::min(begin + task_rows, n_out);
    if (!a.accumulate) {
      dot(begin, end, a.out + begin, n_out);
      add_bias(a, 0, a.n_rows, begin, end);
      return;
    }
    const ScratchPool::Lease lease(c.scratch,
                                   sizeof(float) * static_cast<size_t>(a.n_rows * task_rows));
    float* dots = lease.as<float>();  // [n_rows, task_rows]
    dot(begin, end, dots, task_rows);
    for (int64_t r = 0; r < a.n_rows; ++r) {
      float* out = a.out + r * n_out;
      for (int64_t o = begin; o < end; ++o) out[o] += dots[r * task_rows + o - begin];
    }
    add_bias(a, 0, a.n_rows, begin, end);
  });
}

// One tile of the result: rows [row_begin, row_end) and outputs [begin, end), weights already
// floats.
void matmul_tile(const Context& c, const MatmulArgs& a, const float* weights, int64_t row_begin,
                 int64_t row_end, int64_t begin, int64_t end) {
  const int64_t n_in = a.w.n_cols, n = end - begin;
  const float beta = a.accumulate ? 1.0F : 0.0F;
  const int64_t n_tail = (row_end - row_begin) % kRowUnit, n_whole = row_end - row_begin - n_tail;
  float* out = a.out + row_begin * a.w.n_rows + begin;
  if (n_whole > 0) sgemm(n_whole, n, n_in, a.x + row_begin * n_in, weights, beta, out, a.w.n_rows);
  if (n_tail > 0) {
    const ScratchPool::Lease lease(c.scratch,
                                   sizeof(float) * static_cast<size_t>(kRowUnit * (n_in + n)));
    float* x = lease.as<float>();       // [kRowUnit, n_in]
    float* part = x + kRowUnit * n_in;  // [kRowUnit, n]
    out += n_whole * a.w.n_rows;
    std::copy_n(a.x + (row_begin + n_whole) * n_in, n_tail * n_in, x);
    std::fill_n(x + n_tail * n_in, (kRowUnit - n_tail) * n_in, 0.0F);
    std::fill_n(part, kRowUnit * n, 0.0F);
    if (a.accumulate) {
      for (int64_t r = 0; r < n_tail; ++r) std::copy_n(out + r * a.w.n_rows, n, part + r * n);
    }
    sgemm(kRowUnit, n, n_in, x, weights, beta, part, n);
    for (int64_t r = 0; r < n_tail; ++r) std::copy_n(part + r * n, n, out + r * a.w.n_rows);
  }
  add_bias(a, row_begin, row_end, begin, end);
}

void matmul_many_rows(const Context& c, const MatmulArgs& a) {
  const int64_t n_out = a.w.n_rows, n_in = a.w.n_cols;
  const int64_t tile_cols = round_up(ceil_div(n_out, ceil_div(n_out, kTileCols)), 16);
  const int64_t n_col_tiles = ceil_div(n_out, tile_cols);
  const int64_t n_row_tiles = ceil_div(a.n_rows, kTileRows);
  // The tiles are always the same. Row tiles share a task, and so one unpacking of the weights,
  // unless there would be too few tasks for the threads.
  const int64_t n_groups =
      std::clamp<int64_t>(kTasksPerThread * c.pool.n_threads() / n_col_tiles, 1, n_row_tiles);
  const int64_t group_rows = ceil_div(n_row_tiles, n_groups) * kTileRows;
  const int64_t n_used_groups = ceil_div(a.n_rows, group_rows);

  c.pool.run(n_col_tiles * n_used_groups, c.cancel, [&](int64_t task) {
    const int64_t begin = task / n_used_groups * tile_cols;
    const int64_t end = std::min(begin + tile_cols, n_out);
    const bool in_place = a.w.dtype == DType::kF32;
    const ScratchPool::Lease lease(
        c.scratch, in_place ? 0 : sizeof(float) * static_cast<size_t>(tile_cols * n_in));
    const float* weights = static_cast<const float*>(a.w.data) + begin * n_in;
    if (!in_place) {
      unpack_rows(a.w, begin, end - begin, lease.as<float>());
      weights = lease.as<float>();
    }
    const int64_t group_begin = task % n_used_groups * group_rows;
    const int64_t group_end = std::min(group_begin + group_rows, a.n_rows);
    for (int64_t row = group_begin; row < group_end; row += kTileRows) {
      matmul_tile(c, a, weights, row, std::min(row + kTileRows, group_end), begin, end);
    }
  });
}

}  // namespace

void matmul(const Context& c, const MatmulArgs& a) {
  const int32_t block = dtype_info(a.w.dtype).block_elements;
  if (a.n_rows < 0 || a.w.n_rows < 0 || a.w.n_cols < 0 || a.w.n_cols % block != 0) {
    fail(ErrorCode::kInternal, "matmul: x [", a.n_rows, ", ", a.w.n_cols, "], weights [",
         a.w.n_rows, ", ", a.w.n_cols, "] of ", dtype_info(a.w.dtype).name, ", blocks of ", block);
  }
  if (a.n_rows == 0 || a.w.n_rows == 0) return;
  if (a.n_rows <= kMaxDotRows) {
    matmul_few_rows(c, a);
  } else if (has_bf16_tiles()) {
    matmul_bf16_tiles(c, a);
  } else {
    matmul_many_rows(c, a);
  }
}

}  // namespace reattn::kernels::cpu
