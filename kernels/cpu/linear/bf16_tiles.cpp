// Weights and inputs are split into BF16 parts, packed into tiles of 16 rows of 64 bytes, and multiplied 32 outputs by 32 input rows
// at a time: four tiles of sums, two of weights and two of inputs are the eight that the machine has.
#include "kernels/cpu/linear/bf16_tiles.hpp"

#include "hwy/highway.h"

#if HWY_ARCH_X86_64 && defined(__linux__)

#if defined(__GNUC__) && \
    !defined(__clang__)  // GCC 12 warns of what its own headers leave undefined
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "kernels/cpu/linear/rows.hpp"

#define REATTN_TILES \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define REATTN_TILES_INLINE inline REATTN_TILES __attribute__((always_inline))

namespace reattn::kernels::cpu {
namespace {

constexpr int64_t kSide = 32;   // outputs and input rows of one square of sums
constexpr int64_t kTile = 512;  // BF16 numbers of a tile
constexpr int64_t kStep = 32;   // columns of weights in a tile
constexpr int64_t kInputParts = 3;
// Columns that are summed at a time, whole super-blocks, and unpacked weights of so many: with what is multiplied by them they should
// stay in a second-level cache.
constexpr int64_t kDepth = 768;
constexpr int64_t kPanelBytes = 1 << 20;
constexpr int64_t kPackedRows = 512;        // input rows that are packed at a time
constexpr int64_t kPackedBytes = 48 << 20;  // at most
constexpr int64_t kTasksPerThread = 4;

bool ask_for_tiles() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // arch_prctl's
  unsigned a, b, c, d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const bool has_tiles = (d >> 22 & 1) != 0 && (d >> 24 & 1) != 0;
  if (!has_tiles || __get_cpuid_count(7, 1, &a, &b, &c, &d) == 0) return false;
  const bool has_bf16_vectors = (a >> 5 & 1) != 0;
  return has_bf16_vectors && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// BF16 parts that hold a weight of a type. One and two hold it exactly.
int64_t weight_parts(DType t) {
  switch (t) {
    case DType::kBF16:
      return 1;
    case DType::kF16:   // 11 bits
    case DType::kQ4_0:  // 11 and 4
    case DType::kQ5_0:  // 11 and 5
      return 2;
    default:
      return 3;
  }
}

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t n_rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// The thread's tiles, for as long as this lives. Given back, they cost neither switches of threads nor signals anything.
class TileUse {
 public:
  REATTN_TILES TileUse() {
    // Static: GCC 12's intrinsic reads 8 of its bytes, as far as the compiler knows.
    static constexpr TileShapes kShapes;
    _tile_loadconfig(&kShapes);
  }
  REATTN_TILES ~TileUse() { _tile_release(); }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;
};

// parts[p] = part p of 32 numbers, their sum.
template <int64_t kParts>
REATTN_TILES_INLINE void split(__m512 low, __m512 high, __m512i* parts) {
  for (int64_t p = 0;; ++p) {
    parts[p] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
    if (p == kParts - 1) return;
    const __m512i first = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(parts[p]));
    const __m512i second = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(parts[p], 1));
    low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32(first, 16)));
    high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_slli_epi32(second, 16)));
  }
}

// 16 x 16 words.
REATTN_TILES_INLINE void transpose(__m512i* r) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // r[i + j]: in lane L column 4L + j of rows i … i + 3
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  constexpr int kEven = 0x88, kOdd = 0xdd;
  for (int j = 0; j < 4; ++j) {
    const __m512i a = _mm512_shuffle_i32x4(r[j], r[4 + j], kEven);
    const __m512i b = _mm512_shuffle_i32x4(r[j], r[4 + j], kOdd);
    const __m512i c = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], kEven);
    const __m512i d = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], kOdd);
    r[j] = _mm512_shuffle_i32x4(a, c, kEven);
    r[4 + j] = _mm512_shuffle_i32x4(b, d, kEven);
    r[8 + j] = _mm512_shuffle_i32x4(a, c, kOdd);
    r[12 + j] = _mm512_shuffle_i32x4(b, d, kOdd);
  }
}

__mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>((1U << std::clamp<int64_t>(n, 0, 16)) - 1);
}

// Up to 16 rows of x as tiles [step, part, pair of columns, row, 2]; rows that are not there are 0.
REATTN_TILES void pack_inputs(const float* x, int64_t n_rows, int64_t n_in, uint16_t* to) {
  for (int64_t at = 0; at < n_in; at += kStep, to += kInputParts * kTile) {
    __m512i tiles[kInputParts][16];
    for (int64_t r = 0; r < 16; ++r) {
      const int64_t left = r < n_rows ? n_in - at : 0;
      const float* from = x + (r < n_rows ? r * n_in + at : 0);
      __m512i parts[kInputParts];
      split<kInputParts>(_mm512_maskz_loadu_ps(first_lanes(left), from),
                         _mm512_maskz_loadu_ps(first_lanes(left - 16), from + 16), parts);
      for (int64_t p = 0; p < kInputParts; ++p) tiles[p][r] = parts[p];
    }
    for (int64_t p = 0; p < kInputParts; ++p) {
      transpose(tiles[p]);
      for (int64_t i = 0; i < 16; ++i) _mm512_store_si512(to + p * kTile + i * 32, tiles[p][i]);
    }
  }
}

// A row of weights, whole steps of floats, as row r of tiles [step, part, 16 rows, 32].
template <int64_t kParts>
REATTN_TILES void pack_weights(const float* row, int64_t n_steps, uint16_t* to) {
  for (int64_t s = 0; s < n_steps; ++s, row += kStep, to += kParts * kTile) {
    __m512i parts[kParts];
    split<kParts>(_mm512_load_ps(row), _mm512_load_ps(row + 16), parts);
    for (int64_t p = 0; p < kParts; ++p) _mm512_store_si512(to + p * kTile, parts[p]);
  }
}

REATTN_TILES_INLINE void load_weights(const uint16_t* w, int64_t other) {
  _tile_loadd(4, w, 64);
  _tile_loadd(5, w + other, 64);
}
REATTN_TILES_INLINE void multiply_inputs(const uint16_t* x, int64_t other) {
  _tile_loadd(6, x, 64);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(2, 5, 6);
  _tile_loadd(7, x + other, 64);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(3, 5, 7);
}
REATTN_TILES_INLINE void multiply_again() {  // by the inputs that are there
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(3, 5, 7);
}

// sums [2, 2, 16 outputs, 16 rows] of two tiles of outputs by two of input rows, which are next_x apart.
template <int64_t kParts>
REATTN_TILES void multiply_square(const uint16_t* w, const uint16_t* x, int64_t next_x,
                                  int64_t n_steps, float* sums) {
  const int64_t next_w = n_steps * kParts * kTile;
  asm volatile("" ::
                   : "memory");  // GCC 12's intrinsics do not say that tiles are loaded from memory
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t s = 0; s < n_steps; ++s, w += kParts * kTile, x += kInputParts * kTile) {
    load_weights(w, next_w);
    for (int64_t p = kInputParts; p-- > 0;) multiply_inputs(x + p * kTile, next_x);
    if constexpr (kParts > 1) {
      load_weights(w + kTile, next_w);
      multiply_again();
      multiply_inputs(x + kTile, next_x);
    }
    if constexpr (kParts > 2) {
      load_weights(w + 2 * kTile, next_w);
      multiply_inputs(x, next_x);
    }
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + 256, 64);
  _tile_stored(2, sums + 512, 64);
  _tile_stored(3, sums + 768, 64);
}

// Adds sums [16 outputs, 16 rows] to the rows and outputs of `a` from `row` and `output` on that are there.
REATTN_TILES void store_sums(const MatmulArgs& a, int64_t row, int64_t output, const float* sums) {
  const __mmask16 lanes = first_lanes(a.w.n_rows - output);
  __m512i r[16];
  for (int64_t i = 0; i < 16; ++i) r[i] = _mm512_load_si512(sums + i * 16);
  transpose(r);
  const __m512 bias =
      a.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(lanes, a.bias + output);
  for (int64_t i = 0; i < std::min<int64_t>(16, a.n_rows - row); ++i) {
    float* out = a.out + (row + i) * a.w.n_rows + output;
    __m512 sum = _mm512_castsi512_ps(r[i]);
    if (a.accumulate) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, out));
    if (a.bias != nullptr) sum = _mm512_add_ps(sum, bias);
    _mm512_mask_storeu_ps(out, lanes, sum);
  }
}

int64_t round_up(int64_t a, int64_t unit) {
  return (a + unit - 1) / unit * unit;
}

// Outputs [begin, end) of weights as tiles, in whole squares; of their columns n_cols from `column` on, in whole steps.
template <int64_t kParts>
void unpack_panel(const Context& c, const Matrix& w, int64_t begin, int64_t end, int64_t column,
                  int64_t n_cols, uint16_t* panel) {
  const int64_t n_steps = round_up(n_cols, kStep) / kStep;
  const ScratchPool::Lease lease(c.scratch, sizeof(float) * static_cast<size_t>(n_steps * kStep));
  float* row = lease.as<float>();
  std::fill_n(row, n_steps * kStep, 0.0F);
  const auto* data = static_cast<const char*>(w.data) + row_bytes(w.dtype, column);
  for (int64_t o = 0; o < round_up(end - begin, kSide); ++o) {
    if (begin + o < end) {
      unpack_rows({data + (begin + o) * row_bytes(w.dtype, w.n_cols), w.dtype, 1, n_cols}, 0, 1,
                  row);
    } else {
      std::fill_n(row, n_cols, 0.0F);
    }
    pack_weights<kParts>(row, n_steps, panel + o / 16 * n_steps * kParts * kTile + o % 16 * 32);
  }
}

// All outputs for the rows that are packed at a time.
template <int64_t kParts>
void multiply_rows(const Context& c, const MatmulArgs& a) {
  const int64_t n_in = a.w.n_cols, n_squares = round_up(a.n_rows, kSide) / kSide;
  const int64_t row_tile = round_up(n_in, kStep) / kStep * kInputParts * kTile;  // of 16 rows
  const ScratchPool::Lease packed(c.scratch,
                                  static_cast<size_t>(2 * n_squares * row_tile) * sizeof(uint16_t));
  auto* inputs = packed.as<uint16_t>();
  c.pool.run(2 * n_squares, c.cancel, [&](int64_t t) {
    pack_inputs(a.x + std::min(16 * t, a.n_rows) * n_in, a.n_rows - 16 * t, n_in,
                inputs + t * row_tile);
  });

  constexpr int64_t kOutputBytes = kDepth * kParts * static_cast<int64_t>(sizeof(uint16_t));
  constexpr int64_t kMostOutputs = kPanelBytes / kOutputBytes / kSide * kSide;
  const int64_t n_tasks = kTasksPerThread * c.pool.n_threads();
  const int64_t n_outputs =
      std::min(kMostOutputs, round_up((a.w.n_rows + n_tasks - 1) / n_tasks, kSide));
  const int64_t n_panels = round_up(a.w.n_rows, n_outputs) / n_outputs;
  // Squares of rows share a task, and so one unpacking of weights, unless there would be too few tasks for the threads.
  const int64_t n_groups = std::clamp<int64_t>(n_tasks / n_panels, 1, n_squares);
  c.pool.run(n_panels * n_groups, c.cancel, [&](int64_t task) {
    const int64_t begin = task / n_groups * n_outputs;
    const int64_t end = std::min(begin + n_outputs, a.w.n_rows);
    const ScratchPool::Lease lease(c.scratch, static_cast<size_t>(n_outputs * kOutputBytes));
    auto* panel = lease.as<uint16_t>();
    alignas(64) float sums[4][256];
    const TileUse use;
    MatmulArgs part = a;
    for (int64_t column = 0; column < std::max<int64_t>(n_in, 1); column += kDepth) {
      const int64_t n_cols = std::min(kDepth, n_in - column);
      const int64_t n_steps = round_up(n_cols, kStep) / kStep;
      unpack_panel<kParts>(c, a.w, begin, end, column, n_cols, panel);
      part.accumulate = a.accumulate || column > 0;
      part.bias = column + n_cols == n_in ? a.bias : nullptr;
      const uint16_t* x = inputs + column / kStep * kInputParts * kTile;
      for (int64_t s = task % n_groups; s < n_squares; s += n_groups) {
        for (int64_t o = begin; o < end; o += kSide) {
          multiply_square<kParts>(panel + (o - begin) / 16 * n_steps * kParts * kTile,
                                  x + 2 * s * row_tile, row_tile, n_steps, sums[0]);
          for (int64_t i = 0; i < 4; ++i) {
            store_sums(part, s * kSide + i % 2 * 16, o + i / 2 * 16, sums[i]);
          }
        }
      }
    }
  });
}

}  // namespace

bool has_bf16_tiles() {
  static const bool usable = ask_for_tiles();
  return usable && (hwy::SupportedTargets() & HWY_AVX3_DL) != 0;
}

void matmul_bf16_tiles(const Context& c, const MatmulArgs& a) {
  const int64_t row_bytes = std::max<int64_t>(a.w.n_cols, 1) * kInputParts * 2;
  const int64_t n_rows = std::clamp(kPackedBytes / row_bytes / kSide * kSide, kSide, kPackedRows);
  for (int64_t row = 0; row < a.n_rows; row += n_rows) {
    MatmulArgs part = a;
    part.x += row * a.w.n_cols;
    part.out += row * a.w.n_rows;
    part.n_rows = std::min(n_rows, a.n_rows - row);
    switch (weight_parts(a.w.dtype)) {
      case 1:
        multiply_rows<1>(c, part);
        break;
      case 2:
        multiply_rows<2>(c, part);
        break;
      default:
        multiply_rows<3>(c, part);
    }
  }
}

}  // namespace reattn::kernels::cpu

#else

namespace reattn::kernels::cpu {
bool has_bf16_tiles() {
  return false;
}
void matmul_bf16_tiles(const Context&, const MatmulArgs&) {}
}  // namespace reattn::kernels::cpu

#endif
