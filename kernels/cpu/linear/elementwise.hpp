// Vector loops over floats, dispatched at run time to the machine's instructions.
#pragma once

#include <cstdint>

namespace reattn::kernels::cpu {

// out = x / sqrt(mean(x^2) + eps) * weight; sums in double. out may be x.
void rms_norm_row(const float* x, const float* weight, int64_t n, float eps, float* out);

// out = gate / (1 + exp(-gate)) * up. out may be gate or up.
void swiglu_range(const float* gate, const float* up, int64_t n, float* out);
// The same with gelu, by tanh: gelu(x) = x / (1 + exp(−2 · sqrt(2 / pi) · (x + 0.044715 · x³))).
void geglu_range(const float* gate, const float* up, int64_t n, float* out);

// The largest of x; NaN counts as minus infinity, and so does an empty x.
float max_value(const float* x, int64_t n);

// Σ exp((x − max) · inverse_temperature) over x that is no NaN, an x equal to max giving exactly 1.
// max is ≥ every x.
double sum_exp(const float* x, int64_t n, float max, float inverse_temperature);

// "AVX2", "AVX3" (AVX-512), …: what the calls above and all other vector code run on.
const char* vector_instructions();

}  // namespace reattn::kernels::cpu
