// The tensor types GGUF files name by number, with the ones this engine reads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "reattn/kernels/types.hpp"

namespace reattn::io {

struct GgmlType {
  uint32_t id;
  std::string_view name;
  std::optional<kernels::DType> dtype;  // none: known, not supported
};

inline constexpr std::array kGgmlTypes = {
    GgmlType{0, "F32", kernels::DType::kF32},
    GgmlType{1, "F16", kernels::DType::kF16},
    GgmlType{2, "Q4_0", kernels::DType::kQ4_0},
    GgmlType{3, "Q4_1", kernels::DType::kQ4_1},
    GgmlType{4, "Q4_2", {}},
    GgmlType{5, "Q4_3", {}},
    GgmlType{6, "Q5_0", kernels::DType::kQ5_0},
    GgmlType{7, "Q5_1", kernels::DType::kQ5_1},
    GgmlType{8, "Q8_0", kernels::DType::kQ8_0},
    GgmlType{9, "Q8_1", {}},
    GgmlType{10, "Q2_K", {}},
    GgmlType{11, "Q3_K", {}},
    GgmlType{12, "Q4_K", kernels::DType::kQ4_K},
    GgmlType{13, "Q5_K", kernels::DType::kQ5_K},
    GgmlType{14, "Q6_K", kernels::DType::kQ6_K},
    GgmlType{15, "Q8_K", {}},
    GgmlType{16, "IQ2_XXS", {}},
    GgmlType{17, "IQ2_XS", {}},
    GgmlType{18, "IQ3_XXS", {}},
    GgmlType{19, "IQ1_S", {}},
    GgmlType{20, "IQ4_NL", kernels::DType::kIQ4_NL},
    GgmlType{21, "IQ3_S", {}},
    GgmlType{22, "IQ2_S", {}},
    GgmlType{23, "IQ4_XS", {}},
    GgmlType{24, "I8", {}},
    GgmlType{25, "I16", {}},
    GgmlType{26, "I32", {}},
    GgmlType{27, "I64", {}},
    GgmlType{28, "F64", {}},
    GgmlType{29, "IQ1_M", {}},
    GgmlType{30, "BF16", kernels::DType::kBF16},
    GgmlType{31, "Q4_0_4_4", {}},
    GgmlType{32, "Q4_0_4_8", {}},
    GgmlType{33, "Q4_0_8_8", {}},
    GgmlType{34, "TQ1_0", {}},
    GgmlType{35, "TQ2_0", {}},
    GgmlType{36, "IQ4_NL_4_4", {}},
    GgmlType{37, "IQ4_NL_4_8", {}},
    GgmlType{38, "IQ4_NL_8_8", {}},
    GgmlType{39, "MXFP4", {}},
    GgmlType{40, "NVFP4", {}},
    GgmlType{41, "Q1_0", {}},
};

// Null for an id that no version of the format has given out.
constexpr const GgmlType* ggml_type(uint32_t id) {
  return id < kGgmlTypes.size() ? &kGgmlTypes[id] : nullptr;
}

static_assert([] {
  for (uint32_t i = 0; i < kGgmlTypes.size(); ++i) {
    if (kGgmlTypes[i].id != i) return false;
  }
  return true;
}());

}  // namespace reattn::io
