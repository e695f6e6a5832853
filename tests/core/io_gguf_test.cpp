// GGUF files as they should be: everything in them is found again.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "core/io/gguf.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/support/encode.hpp"
#include "tests/support/tiny_llama.hpp"

namespace reattn::io {
namespace {

using kernels::DType;
using test::expect_error;
using test::GgufBuilder;

class GgufTest : public testing::Test {
 protected:
  Gguf open(const GgufBuilder& b) {
    b.write(dir_.file("m.gguf"));
    return Gguf::open(dir_.file("m.gguf"));
  }

  test::TemporaryDirectory dir_;
};

TEST_F(GgufTest, BothVersions) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder b;
    b.version(version).kv_u32("k", 7).tensor_zeros("t", {4}, DType::kF32);
    const Gguf g = open(b);
    EXPECT_EQ(g.version(), version);
    EXPECT_EQ(g.get_uint("k"), 7u);
    EXPECT_EQ(g.tensors().size(), 1u);
    EXPECT_EQ(g.path(), dir_.file("m.gguf"));
    EXPECT_EQ(g.size(), b.bytes().size());
  }
}

TEST_F(GgufTest, NumbersOfEveryType) {
  GgufBuilder b;
  b.kv("u8", ValueType::kU8, uint8_t{255})
      .kv("i8", ValueType::kI8, int8_t{-128})
      .kv("u16", ValueType::kU16, uint16_t{65535})
      .kv("i16", ValueType::kI16, int16_t{-32768})
      .kv("u32", ValueType::kU32, uint32_t{4294967295})
      .kv("i32", ValueType::kI32, int32_t{-2147483647 - 1})
      .kv("u64", ValueType::kU64, ~uint64_t{0})
      .kv("i64", ValueType::kI64, int64_t{-5})
      .kv("f32", ValueType::kF32, 0.5f)
      .kv("f64", ValueType::kF64, 1e300)
      .kv_bool("yes", true)
      .kv_bool("no", false)
      .kv_str("text", "caf\u00e9")
      .kv_str("empty", "");
  const Gguf g = open(b);
  EXPECT_EQ(g.get_uint("u8"), 255u);
  EXPECT_EQ(g.get_int("i8"), -128);
  EXPECT_EQ(g.get_uint("u16"), 65535u);
  EXPECT_EQ(g.get_int("i16"), -32768);
  EXPECT_EQ(g.get_uint("u32"), 4294967295u);
  EXPECT_EQ(g.get_int("i32"), -2147483648ll);
  EXPECT_EQ(g.get_uint("u64"), ~uint64_t{0});
  EXPECT_EQ(g.get_int("i64"), -5);
  EXPECT_EQ(g.get_float("f32"), 0.5);
  EXPECT_EQ(g.get_float("f64"), 1e300);
  EXPECT_TRUE(g.get_bool("yes"));
  EXPECT_FALSE(g.get_bool("no"));
  EXPECT_EQ(g.get_string("text"), "caf\u00e9");
  EXPECT_EQ(g.get_string("empty"), "");
  EXPECT_EQ(g.find("missing"), nullptr);
  EXPECT_EQ(g.find_uint("missing"), std::nullopt);
  EXPECT_EQ(g.find_string("missing"), std::nullopt);
  EXPECT_EQ(g.entries().size(), 14u);
  EXPECT_EQ(g.entries()[2].key, "u16");
}

TEST_F(GgufTest, Arrays) {
  const std::vector<std::string> words = {"one", "", std::string("\0\xFF", 2), "four"};
  GgufBuilder b;
  b.kv_arr_str("words", words)
      .kv_arr_i32("ints", {-1, 0, 7})
      .kv_arr_f32("floats", {0.5f, -2})
      .kv_arr_i32("none", {});
  const Gguf g = open(b);
  const auto views = g.get_strings("words");
  EXPECT_EQ(std::vector<std::string>(views.begin(), views.end()), words);
  EXPECT_EQ(g.get_ints("ints"), (std::vector<int64_t>{-1, 0, 7}));
  EXPECT_EQ(g.get_floats("floats"), (std::vector<float>{0.5f, -2}));
  EXPECT_TRUE(g.get_ints("none").empty());
  EXPECT_EQ(g.find("words")->count, 4u);
}

TEST_F(GgufTest, ViewsOutliveAMove) {
  GgufBuilder b;
  b.kv_str("s", "x").kv_arr_str("a", {"y"});
  Gguf g = open(b);
  const auto s = g.get_string("s");
  const auto a = g.get_strings("a");
  const Gguf moved = std::move(g);
  EXPECT_EQ(s.data(), moved.get_string("s").data());
  EXPECT_EQ(s, "x");
  EXPECT_EQ(a[0], "y");
}

TEST_F(GgufTest, TextsForPeople) {
  GgufBuilder b;
  b.kv_u32("n", 30)
      .kv_f32("f", 1e-5f)
      .kv_bool("b", true)
      .kv_str("s", "line\n\x01\xFF end")
      .kv_arr_str("words", {"a", "b"})
      .kv_arr_i32("many", std::vector<int32_t>(1000, 1));
  const Gguf g = open(b);
  const auto text = [&](std::string_view key) { return g.find(key)->text(20); };
  EXPECT_EQ(text("n"), "30");
  EXPECT_EQ(text("f"), "1e-05");
  EXPECT_EQ(text("b"), "true");
  EXPECT_EQ(text("s"), "line\\x0a\\x01\\xff end");
  EXPECT_EQ(text("words"), "['a', 'b']");
  EXPECT_EQ(text("many"), "[1, 1, 1, 1, 1, 1, 1, ...]");
  EXPECT_EQ(g.find("n")->type_name(), "u32");
  EXPECT_EQ(g.find("s")->type_name(), "string");
  EXPECT_EQ(g.find("many")->type_name(), "i32[1000]");
}

TEST_F(GgufTest, TensorsOfEveryType) {
  GgufBuilder b;
  std::vector<std::vector<std::byte>> contents;
  const std::vector<DType> dtypes = {DType::kF32,  DType::kF16,  DType::kBF16,
                                     DType::kQ8_0, DType::kQ4_0, DType::kQ4_1};
  for (size_t i = 0; i < dtypes.size(); ++i) {
    std::vector<float> values(64 * 3);
    for (size_t j = 0; j < values.size(); ++j) values[j] = std::sin(static_cast<float>(i + j));
    contents.push_back(test::encode(dtypes[i], values));
    b.tensor("t" + std::to_string(i), {64, 3}, dtypes[i], contents.back());
  }
  const Gguf g = open(b);
  for (size_t i = 0; i < dtypes.size(); ++i) {
    const TensorInfo& t = g.get_tensor("t" + std::to_string(i));
    EXPECT_EQ(t.dtype, dtypes[i]);
    EXPECT_EQ(t.shape, (std::vector<int64_t>{64, 3}));
    EXPECT_EQ(t.shape_text(), "[64, 3]");
    EXPECT_EQ(t.n_elements(), 192);
    ASSERT_EQ(t.n_bytes, contents[i].size());
    EXPECT_EQ(t.offset % 32, 0u);
    std::vector<std::byte> data(t.n_bytes);
    g.read_tensor(t, data);
    EXPECT_EQ(data, contents[i]);
  }
  EXPECT_EQ(g.find_tensor("t6"), nullptr);
  std::vector<std::byte> small(3);
  expect_error(ErrorCode::kInternal, {"'t0'", "768 bytes", "has 3"},
               [&] { g.read_tensor(g.get_tensor("t0"), small); });
}

TEST_F(GgufTest, TensorsInAnyOrder) {
  GgufBuilder b;
  const std::vector<std::byte> bytes(64);
  b.tensor_raw("last", {16}, 0, bytes, 64).tensor_raw("first", {16}, 0, bytes, 0);
  const Gguf g = open(b);
  EXPECT_EQ(g.get_tensor("last").offset, g.get_tensor("first").offset + 64);
}

TEST_F(GgufTest, AnyAlignmentWithinLimits) {
  for (const uint32_t alignment : {8u, 64u, 4096u, 1u << 20}) {
    GgufBuilder b;
    b.pad_to(alignment).kv_u32("general.alignment", alignment);
    b.tensor_zeros("a", {3}, DType::kF32).tensor_zeros("b", {5}, DType::kF16);
    const Gguf g = open(b);
    EXPECT_EQ(g.alignment(), alignment);
    EXPECT_EQ(g.get_tensor("a").offset % alignment, 0u);
    EXPECT_EQ(g.get_tensor("b").offset, g.get_tensor("a").offset + std::max(16u, alignment));
  }
}

TEST_F(GgufTest, PaddingAfterTheLastTensorIsOptional) {
  GgufBuilder b;
  b.tensor_zeros("a", {3}, DType::kF32);
  auto bytes = b.bytes();
  const size_t end = bytes.size();
  for (const size_t n : {end, end + 1, end + 20}) {
    bytes.resize(n);
    test::write_file(dir_.file("m"), bytes);
    EXPECT_EQ(Gguf::open(dir_.file("m")).get_tensor("a").n_bytes, 12u);
  }
}

TEST_F(GgufTest, NoTensorsAndNoKeys) {
  const Gguf g = open(GgufBuilder());
  EXPECT_TRUE(g.entries().empty());
  EXPECT_TRUE(g.tensors().empty());
}

TEST_F(GgufTest, LongestNamesAllowed) {
  GgufBuilder b;
  const std::string key(kMaxKeyBytes, 'k'), name(kMaxTensorNameBytes, 't');
  b.kv_u32(key, 1).tensor_zeros(name, {1, 1, 1, 2}, DType::kF32);
  const Gguf g = open(b);
  EXPECT_EQ(g.get_uint(key), 1u);
  EXPECT_EQ(g.get_tensor(name).n_elements(), 2);
}

TEST_F(GgufTest, GettersNameWhatIsWrong) {
  const std::array<uint32_t, 5> u64_max = {10, 1, 0, ~0u, ~0u};  // type, u64 count, one element
  GgufBuilder b;
  b.kv_u32("n", 9)
      .kv("minus", ValueType::kI8, int8_t{-3})
      .kv("huge", ValueType::kU64, ~uint64_t{0})
      .kv_f32("f", 2.5f)
      .kv_f32("nan", NAN)
      .kv_f32("inf", INFINITY)
      .kv_str("s", "text")
      .kv_arr_i32("ints", {1})
      .kv_arr_str("words", {"w"})
      .kv_raw("big", 9, std::as_bytes(std::span(u64_max)));
  const Gguf g = open(b);
  const auto bad = [&](std::initializer_list<std::string_view> fragments, auto&& f) {
    expect_error(ErrorCode::kFormat, fragments, f);
  };
  bad({"m.gguf", "'gone'", "missing", "non-negative integer"}, [&] { g.get_uint("gone"); });
  bad({"'gone'", "missing", "string"}, [&] { g.get_string("gone"); });
  bad({"'gone'", "missing", "array of strings"}, [&] { g.get_strings("gone"); });
  bad({"tensor 'gone'", "missing"}, [&] { g.get_tensor("gone"); });
  bad({"m.gguf", "'n'", "is 9", "1 to 8"}, [&] { g.get_uint("n", 1, 8); });
  bad({"'n'", "is 9", "10 to 20"}, [&] { g.find_uint("n", 10, 20); });
  bad({"'minus'", "is -3", "0 to"}, [&] { g.get_uint("minus"); });
  bad({"'huge'", "18446744073709551615"}, [&] { g.get_int("huge"); });
  bad({"'s'", "is string", "integer"}, [&] { g.get_uint("s"); });
  bad({"'f'", "is f32", "integer"}, [&] { g.get_uint("f"); });
  bad({"'f'", "is 2.5", "0 to 1"}, [&] { g.get_float("f", 0, 1); });
  bad({"'nan'", "is nan"}, [&] { g.get_float("nan"); });
  bad({"'inf'", "is inf"}, [&] { g.get_float("inf"); });
  bad({"'n'", "is u32", "float"}, [&] { g.get_float("n"); });
  bad({"'n'", "is u32", "bool"}, [&] { g.get_bool("n"); });
  bad({"'n'", "is u32", "string"}, [&] { g.get_string("n"); });
  bad({"'ints'", "is i32[1]", "array of strings"}, [&] { g.get_strings("ints"); });
  bad({"'words'", "is string[1]", "array of integers"}, [&] { g.get_ints("words"); });
  bad({"'words'", "is string[1]", "array of floats"}, [&] { g.get_floats("words"); });
  bad({"'ints'", "is i32[1]", "expected string"}, [&] { g.get_string("ints"); });
  bad({"'n'", "is u32", "array of integers"}, [&] { g.get_ints("n"); });
  bad({"'big'", "holds 18446744073709551615"}, [&] { g.get_ints("big"); });
}

TEST_F(GgufTest, TinyLlamaOfEveryType) {
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1}) {
    const auto b = test::tiny_llama_builder({.dtype = dtype, .tied = false});
    const Gguf g = open(b);
    EXPECT_EQ(g.get_string("general.architecture"), "llama");
    EXPECT_EQ(g.get_tensor("blk.1.ffn_down.weight").dtype, dtype);
    EXPECT_EQ(g.get_tensor("blk.1.ffn_down.weight").shape, (std::vector<int64_t>{96, 64}));
    EXPECT_EQ(g.get_tensor("output.weight").shape, (std::vector<int64_t>{64, 300}));
    EXPECT_EQ(g.find("tokenizer.ggml.tokens")->count, 300u);
    EXPECT_EQ(g.find("tokenizer.ggml.token_type")->count, 300u);
    EXPECT_EQ(g.find("tokenizer.ggml.merges")->count, 40u);
  }
  EXPECT_EQ(test::tiny_llama(), test::tiny_llama());
  EXPECT_NE(test::tiny_llama(), test::tiny_llama({.seed = 2}));
}

TEST(GgufRealModel, Opens) {
  const char* path = std::getenv("REATTN_TEST_MODEL");
  if (!path) GTEST_SKIP() << "REATTN_TEST_MODEL names no model";
  const Gguf g = Gguf::open(path);
  EXPECT_FALSE(g.get_string("general.architecture").empty());
  ASSERT_FALSE(g.tensors().empty());
  for (const auto& t : g.tensors()) {
    std::vector<std::byte> data(t.n_bytes);
    g.read_tensor(t, data);
  }
  EXPECT_EQ(static_cast<int64_t>(g.get_strings("tokenizer.ggml.tokens").size()),
            g.get_tensor("token_embd.weight").shape[1]);
}

}  // namespace
}  // namespace reattn::io
