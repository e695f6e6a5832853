// Writes the GGUF files that fuzzing starts from: gguf_seeds DIRECTORY.
#include <array>
#include <cstdio>
#include <exception>

#include "tests/support/tiny_llama.hpp"

namespace {

using reattn::io::ValueType;
using reattn::kernels::DType;
using reattn::test::GgufBuilder;

GgufBuilder every_value() {
  return GgufBuilder()
      .kv("u8", ValueType::kU8, uint8_t{1})
      .kv("i8", ValueType::kI8, int8_t{-1})
      .kv("u16", ValueType::kU16, uint16_t{2})
      .kv("i16", ValueType::kI16, int16_t{-2})
      .kv("u32", ValueType::kU32, uint32_t{3})
      .kv("i32", ValueType::kI32, int32_t{-3})
      .kv("u64", ValueType::kU64, uint64_t{4})
      .kv("i64", ValueType::kI64, int64_t{-4})
      .kv("f32", ValueType::kF32, 0.5f)
      .kv("f64", ValueType::kF64, -0.5)
      .kv_bool("bool", true)
      .kv_str("string", "text")
      .kv_arr_str("strings", {"a", "", "\u00e9"})
      .kv_arr_i32("ints", {1, 2, 3})
      .kv_arr_f32("floats", {1, 2});
}

GgufBuilder every_dtype() {
  GgufBuilder b;
  b.pad_to(64).kv_u32("general.alignment", 64);
  constexpr std::array kDTypes = {DType::kF32,  DType::kF16,  DType::kBF16,
                                  DType::kQ8_0, DType::kQ4_0, DType::kQ4_1};
  for (const auto dtype : kDTypes) {
    b.tensor_zeros(reattn::kernels::dtype_info(dtype).name, {32, 2}, dtype);
  }
  return b;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: gguf_seeds DIRECTORY\n");
    return 2;
  }
  const std::string directory = argv[1];
  try {
    every_value().write(directory + "/values");
    every_value().version(2).write(directory + "/values_v2");
    every_dtype().write(directory + "/dtypes");
    GgufBuilder().write(directory + "/nothing");
    reattn::test::tiny_llama_builder({.n_layers = 1,
                                      .n_embd = 32,
                                      .n_heads = 2,
                                      .n_kv_heads = 1,
                                      .n_ff = 32,
                                      .n_vocab = 260,
                                      .dtype = DType::kQ4_1})
        .write(directory + "/model");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "gguf_seeds: %s\n", e.what());
    return 1;
  }
}
