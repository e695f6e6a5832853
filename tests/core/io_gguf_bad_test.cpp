// GGUF files that lie: each is refused with its documented code and a message naming the lie.
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "core/io/gguf.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/support/gguf_builder.hpp"

namespace reattn::io {
namespace {

using kernels::DType;
using test::GgufBuilder;
using Bytes = std::vector<std::byte>;

constexpr uint64_t kHuge = uint64_t{1} << 63;
constexpr uint32_t kArrayId = 9;

struct BadFile {
  const char* name;
  std::function<Bytes()> make;
  ErrorCode code;
  std::vector<std::string_view> fragments;
};

void PrintTo(const BadFile& bad, std::ostream* out) {
  *out << bad.name;
}

template <class... Ts>
Bytes raw(const Ts&... numbers) {
  Bytes out;
  const auto append = [&](const auto& v) {
    const auto bytes = std::as_bytes(std::span(&v, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  (append(numbers), ...);
  return out;
}

Bytes text(std::string_view s) {
  const auto bytes = std::as_bytes(std::span(s));
  return {bytes.begin(), bytes.end()};
}

Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A file of one key with the given type and payload.
Bytes value(uint32_t type, const Bytes& payload) {
  return GgufBuilder().kv_raw("some.key", type, payload).bytes();
}

// A file of one array with as many bytes as given.
Bytes array(uint32_t element_type, uint64_t count, const Bytes& payload = {}) {
  return value(kArrayId, joined(raw(element_type, count), payload));
}

// A file of one tensor, its data as long as its file claims or not.
Bytes tensor(const std::vector<int64_t>& shape, uint32_t type, size_t n_bytes,
             std::optional<uint64_t> offset = {}, std::optional<uint32_t> n_dims = {}) {
  return GgufBuilder().tensor_raw("w", shape, type, Bytes(n_bytes), offset, n_dims).bytes();
}

Bytes two_tensors(uint64_t first, uint64_t second) {
  return GgufBuilder()
      .tensor_raw("a", {16}, 0, Bytes(64), first)
      .tensor_raw("b", {16}, 0, Bytes(64), second)
      .bytes();
}

Bytes alignment(uint32_t n) {
  return GgufBuilder().kv_u32("general.alignment", n).tensor_zeros("w", {8}, DType::kF32).bytes();
}

Bytes key_named(std::string_view key) {
  return GgufBuilder().kv_u32(key, 1).bytes();
}

Bytes tensor_named(std::string_view name) {
  return GgufBuilder().tensor_zeros(name, {8}, DType::kF32).bytes();
}

constexpr ErrorCode kFormat = ErrorCode::kFormat;
constexpr ErrorCode kUnsupported = ErrorCode::kUnsupported;

const std::vector<BadFile>& bad_files() {
  static const std::vector<BadFile> kFiles = {
      {"Empty", [] { return Bytes(); }, kFormat, {"the file is empty"}},
      {"MagicOnly", [] { return text("GGUF"); }, kFormat, {"version", "4 bytes at byte 4"}},
      {"MagicShort", [] { return text("GG"); }, kFormat, {"magic", "2 are left"}},
      {"MagicOfZip",
       [] { return text("PK\x03\x04 and so on and so on"); },
       kFormat,
       {"magic is 'PK\\x03\\x04'"}},
      {"MagicGgml", [] { return GgufBuilder().magic("ggml").bytes(); }, kFormat, {"'ggml'"}},
      {"MagicReversed", [] { return GgufBuilder().magic("FUGG").bytes(); }, kFormat, {"'FUGG'"}},
      {"Version0", [] { return GgufBuilder().version(0).bytes(); }, kFormat, {"version is 0"}},
      {"Version1", [] { return GgufBuilder().version(1).bytes(); }, kUnsupported, {"version 1,"}},
      {"Version4", [] { return GgufBuilder().version(4).bytes(); }, kUnsupported, {"version 4,"}},
      {"VersionMax",
       [] { return GgufBuilder().version(~0u).bytes(); },
       kUnsupported,
       {"version 4294967295"}},
      {"BigEndian",
       [] { return GgufBuilder().version(3u << 24).bytes(); },
       kUnsupported,
       {"version 3", "big-endian"}},

      {"KeysHuge",
       [] { return GgufBuilder().claim_kv(kHuge).bytes(); },
       kFormat,
       {"n_kv is 9223372036854775808", "0 bytes left"}},
      {"KeysMinusOne",
       [] { return GgufBuilder().claim_kv(~uint64_t{0}).bytes(); },
       kFormat,
       {"n_kv is 18446744073709551615"}},
      {"KeysWrapTimesSize",
       [] { return GgufBuilder().claim_kv(~uint64_t{0} / 14 + 2).bytes(); },
       kFormat,
       {"n_kv"}},
      {"KeysOneMore",
       [] { return GgufBuilder().kv_u32("k", 1).claim_kv(2).bytes(); },
       kFormat,
       {"n_kv is 2", "at most 1"}},
      {"KeysOneLess",
       [] {
         return GgufBuilder().kv_u32("k", 1).kv_str("l", std::string(60, 'x')).claim_kv(1).bytes();
       },
       kFormat,
       {"follow the last"}},
      {"KeysBeyondLimit",
       [] {
         return GgufBuilder().kv_str("k", std::string(1 << 20, 'x')).claim_kv(kMaxKeys + 1).bytes();
       },
       kUnsupported,
       {"n_kv is 65537", "limit is 65536"}},
      {"TensorsHuge",
       [] { return GgufBuilder().claim_tensors(kHuge).bytes(); },
       kFormat,
       {"n_tensors is 9223372036854775808"}},
      {"TensorsMinusOne",
       [] { return GgufBuilder().claim_tensors(~uint64_t{0}).bytes(); },
       kFormat,
       {"n_tensors is 18446744073709551615"}},
      {"TensorsOneMore",
       [] { return GgufBuilder().tensor_zeros("w", {1}, DType::kF32).claim_tensors(2).bytes(); },
       kFormat,
       {"n_tensors is 2", "hold at most 1"}},
      {"TensorsClaimedKeysLeft",
       [] { return GgufBuilder().kv_str("k", std::string(90, 'x')).claim_tensors(2).bytes(); },
       kFormat,
       {"n_tensors is 2", "0 bytes left"}},
      {"TensorsBeyondLimit",
       [] {
         return GgufBuilder()
             .kv_str("k", std::string(10 << 20, 'x'))
             .claim_tensors(kMaxTensors + 1)
             .bytes();
       },
       kUnsupported,
       {"n_tensors is 262145", "limit is 262144"}},

      {"KeyEmpty", [] { return key_named(""); }, kFormat, {"key 0 of 1", "the key is empty"}},
      {"KeyLengthHuge",
       [] { return GgufBuilder().kv_raw_length("k", kHuge).bytes(); },
       kFormat,
       {"key 0 of 1", "9223372036854775808 bytes"}},
      {"KeyLengthMinusOne",
       [] { return GgufBuilder().kv_raw_length("k", ~uint64_t{0}).bytes(); },
       kFormat,
       {"18446744073709551615 bytes"}},
      {"KeyLengthPastEnd",
       [] { return GgufBuilder().kv_raw_length("k", 7).bytes(); },
       kFormat,
       {"the key needs 7 bytes at byte 32, 6 are left"}},
      {"KeyTooLong",
       [] { return key_named(std::string(kMaxKeyBytes + 1, 'k')); },
       kFormat,
       {"has 65536 bytes", "allows 65535"}},
      {"KeyWithNul",
       [] { return key_named(std::string_view("a\0b", 3)); },
       kFormat,
       {"'a\\x00b'", "NUL"}},
      {"KeyNotUtf8", [] { return key_named("a\xC3("); }, kFormat, {"'a\\xc3('", "UTF-8"}},
      {"KeyOverlongUtf8", [] { return key_named("\xC0\xAF"); }, kFormat, {"UTF-8"}},
      {"KeySurrogate", [] { return key_named("\xED\xA0\x80"); }, kFormat, {"UTF-8"}},
      {"KeyBeyondUnicode", [] { return key_named("\xF4\x90\x80\x80"); }, kFormat, {"UTF-8"}},
      {"KeyTwice",
       [] { return GgufBuilder().kv_u32("k", 1).kv_str("k", "x").bytes(); },
       kFormat,
       {"key 'k' occurs twice"}},
      {"KeyTwiceApart",
       [] { return GgufBuilder().kv_u32("k", 1).kv_u32("l", 2).kv_u32("k", 1).bytes(); },
       kFormat,
       {"key 'k' occurs twice"}},

      {"ValueType13",
       [] { return value(13, Bytes(8)); },
       kFormat,
       {"key 'some.key'", "value type is 13", "0 to 12"}},
      {"ValueTypeMax", [] { return value(~0u, Bytes(8)); }, kFormat, {"value type is 4294967295"}},
      {"Bool2", [] { return value(7, raw(uint8_t{2})); }, kFormat, {"'some.key'", "boolean is 2"}},
      {"Bool255", [] { return value(7, raw(uint8_t{255})); }, kFormat, {"boolean is 255"}},
      {"BoolArray",
       [] { return array(7, 3, raw(uint8_t{1}, uint8_t{0}, uint8_t{9})); },
       kFormat,
       {"boolean is 9"}},
      {"NumberCutShort",
       [] { return value(10, raw(uint32_t{1})); },
       kFormat,
       {"'some.key'", "8 bytes", "4 are left"}},
      {"StringHuge",
       [] { return value(8, raw(kHuge)); },
       kFormat,
       {"'some.key'", "9223372036854775808 bytes"}},
      {"StringMinusOne",
       [] { return value(8, raw(~uint64_t{0})); },
       kFormat,
       {"18446744073709551615 bytes"}},
      {"StringPastEnd",
       [] { return value(8, joined(raw(uint64_t{4}), text("abc"))); },
       kFormat,
       {"the string needs 4 bytes", "3 are left"}},
      {"StringLengthCutShort",
       [] { return value(8, raw(uint32_t{1})); },
       kFormat,
       {"the length of the string"}},
      {"ArrayHuge",
       [] { return array(4, kHuge); },
       kFormat,
       {"'some.key'", "array length is 9223372036854775808"}},
      {"ArrayMinusOne",
       [] { return array(0, ~uint64_t{0}); },
       kFormat,
       {"array length is 18446744073709551615"}},
      {"ArraySizeWraps",
       [] { return array(10, (uint64_t{1} << 61) + 1, Bytes(8)); },
       kFormat,
       {"array length is 2305843009213693953", "hold at most 1"}},
      {"ArrayOneMore",
       [] { return array(4, 3, Bytes(8)); },
       kFormat,
       {"array length is 3", "8 bytes left hold at most 2"}},
      {"ArrayType13", [] { return array(13, 1, Bytes(8)); }, kFormat, {"array element type is 13"}},
      {"ArrayOfArrays",
       [] { return array(9, 1, raw(uint32_t{0}, uint64_t{0})); },
       kUnsupported,
       {"'some.key'", "array of arrays"}},
      {"ArrayOfArraysDeep",
       [] {
         Bytes nested;
         for (int i = 0; i < 10'000; ++i) nested = joined(raw(kArrayId, uint64_t{1}), nested);
         return value(kArrayId, nested);
       },
       kUnsupported,
       {"array of arrays"}},
      {"StringsHuge",
       [] { return array(8, kHuge, Bytes(16)); },
       kFormat,
       {"array length is 9223372036854775808", "hold at most 2"}},
      {"StringsOneHuge",
       [] { return array(8, 2, joined(raw(uint64_t{0}, kHuge), Bytes(8))); },
       kFormat,
       {"string 1 of the array", "9223372036854775808 bytes"}},
      {"StringsPastEnd",
       [] { return array(8, 2, raw(uint64_t{8}, uint64_t{1})); },
       kFormat,
       {"the length of a string in the array", "0 are left"}},
      {"ArrayHeadCutShort",
       [] { return value(kArrayId, raw(uint32_t{4}, uint32_t{1})); },
       kFormat,
       {"array length"}},

      {"Alignment0", [] { return alignment(0); }, kFormat, {"general.alignment", "is 0,"}},
      {"Alignment3", [] { return alignment(3); }, kFormat, {"is 3,", "power of two"}},
      {"Alignment4", [] { return alignment(4); }, kFormat, {"is 4,", "8 to 1048576"}},
      {"Alignment24", [] { return alignment(24); }, kFormat, {"is 24,"}},
      {"AlignmentAboveLimit", [] { return alignment(1u << 21); }, kFormat, {"is 2097152"}},
      {"Alignment2To31", [] { return alignment(1u << 31); }, kFormat, {"is 2147483648"}},
      {"AlignmentMax", [] { return alignment(~0u); }, kFormat, {"is 4294967295"}},
      {"AlignmentString",
       [] { return GgufBuilder().kv_str("general.alignment", "32").bytes(); },
       kFormat,
       {"general.alignment", "is string", "expected u32"}},
      {"AlignmentU64",
       [] { return GgufBuilder().kv("general.alignment", ValueType::kU64, uint64_t{32}).bytes(); },
       kFormat,
       {"is u64", "expected u32"}},
      {"AlignmentArray",
       [] { return GgufBuilder().kv_arr_i32("general.alignment", {32}).bytes(); },
       kFormat,
       {"is i32[1]"}},

      {"TensorNameEmpty",
       [] { return tensor_named(""); },
       kFormat,
       {"tensor 0 of 1", "the name is empty"}},
      {"TensorNameTooLong",
       [] { return tensor_named(std::string(65, 't')); },
       kFormat,
       {"65 bytes", "allows 64"}},
      {"TensorNameWithNul",
       [] { return tensor_named(std::string_view("a\0b", 3)); },
       kFormat,
       {"NUL"}},
      {"TensorNameNotUtf8", [] { return tensor_named("\xFF"); }, kFormat, {"'\\xff'", "UTF-8"}},
      {"TensorTwice",
       [] {
         return GgufBuilder()
             .tensor_zeros("w", {8}, DType::kF32)
             .tensor_zeros("w", {8}, DType::kF32)
             .bytes();
       },
       kFormat,
       {"tensor 'w' occurs twice"}},
      {"Dims0", [] { return tensor({}, 0, 64); }, kFormat, {"tensor 'w'", "n_dims is 0"}},
      {"Dims5",
       [] {
         return tensor({1, 1, 1, 1, 1}, 0, 4);
       },
       kFormat,
       {"n_dims is 5", "1 to 4"}},
      {"DimsMax", [] { return tensor({1}, 0, 4, {}, ~0u); }, kFormat, {"n_dims is 4294967295"}},
      {"Dimension0",
       [] {
         return tensor({8, 0}, 0, 0);
       },
       kFormat,
       {"tensor 'w'", "dimension 1 is 0"}},
      {"DimensionMinusOne", [] { return tensor({-1}, 0, 4); }, kFormat, {"dimension 0 is -1"}},
      {"DimensionMin",
       [] { return tensor({INT64_MIN}, 0, 4); },
       kFormat,
       {"is -9223372036854775808"}},
      {"ProductWrapsToZero",
       [] {
         return tensor({int64_t{1} << 32, int64_t{1} << 32}, 0, 4);
       },
       kFormat,
       {"the product of dimensions 0 to 1", "4294967296"}},
      {"ProductWrapsToOne",
       [] {
         return tensor({int64_t{0x5555555555555555}, 3, 0x3FFFFFFFFFFFFFFF}, 0, 4);
       },
       kFormat,
       {"the product"}},
      {"ProductNegative",
       [] {
         return tensor({int64_t{1} << 62, 2}, 0, 4);
       },
       kFormat,
       {"the product"}},
      {"BytesWrapToZero",
       [] { return tensor({int64_t{1} << 62}, 0, 0); },
       kFormat,
       {"4611686018427387904 elements of F32", "2^63 - 1"}},
      {"BytesWrapInBlocks",
       [] { return tensor({INT64_MAX - 31}, 8, 34); },
       kFormat,
       {"elements of Q8_0"}},
      {"BytesPlusOffsetWrap",
       [] { return tensor({(int64_t{1} << 61) - 8}, 0, 32, ~uint64_t{0} - 31); },
       kFormat,
       {"offset 18446744073709551584", "past the file"}},
      {"BytesBeyondFile",
       [] { return tensor({16}, 0, 63); },
       kFormat,
       {"tensor 'w'", "size 64", "past the file's"}},
      {"BytesFarBeyondFile",
       [] { return tensor({int64_t{1} << 40}, 0, 64); },
       kFormat,
       {"size 4398046511104"}},
      {"RowNotOfBlocks",
       [] { return tensor({33}, 8, 34); },
       kFormat,
       {"a row of 33 elements", "Q8_0's block of 32"}},
      {"RowNotOfBlocksProductIs",
       [] {
         return tensor({16, 2}, 2, 18);
       },
       kFormat,
       {"a row of 16", "Q4_0"}},
      {"TypeRemoved", [] { return tensor({32}, 4, 18); }, kUnsupported, {"'w'", "type Q4_2"}},
      {"TypeQ2K", [] { return tensor({256}, 10, 84); }, kUnsupported, {"'w'", "type Q2_K"}},
      {"TypeI32", [] { return tensor({8}, 26, 32); }, kUnsupported, {"type I32"}},
      {"TypeNewest", [] { return tensor({128}, 41, 18); }, kUnsupported, {"type Q1_0"}},
      {"TypeUnknown",
       [] { return tensor({32}, 1000, 18); },
       kFormat,
       {"'w'", "type 1000 is not known"}},
      {"TypeMax", [] { return tensor({32}, ~0u, 18); }, kFormat, {"type 4294967295"}},

      {"OffsetUnaligned",
       [] { return tensor({16}, 0, 128, 4); },
       kFormat,
       {"tensor 'w'", "offset 4 is no multiple of the alignment 32"}},
      {"OffsetPastEnd", [] { return tensor({16}, 0, 64, 64); }, kFormat, {"offset 64", "past"}},
      {"OffsetHuge",
       [] { return tensor({16}, 0, 64, kHuge); },
       kFormat,
       {"offset 9223372036854775808"}},
      {"OffsetsOverlap",
       [] { return two_tensors(0, 32); },
       kFormat,
       {"tensor 'b'", "after tensor 'a'", "overlap"}},
      {"OffsetsSame", [] { return two_tensors(0, 0); }, kFormat, {"overlap"}},
      {"OffsetsSwappedOverlap",
       [] { return two_tensors(32, 0); },
       kFormat,
       {"tensor 'a'", "after tensor 'b'", "overlap"}},
      {"HoleBetween",
       [] { return joined(two_tensors(0, 96), Bytes(32)); },
       kFormat,
       {"tensor 'b'", "hole"}},
      {"HoleBefore",
       [] { return joined(tensor({16}, 0, 64, 32), Bytes(32)); },
       kFormat,
       {"tensor 'w'", "as the first tensor", "hole"}},
      {"TrailingBytes",
       [] { return joined(tensor({16}, 0, 64), Bytes(1)); },
       kFormat,
       {"1 bytes follow the last tensor"}},
      {"TrailingFile",
       [] { return joined(tensor({16}, 0, 60), Bytes(4096)); },
       kFormat,
       {"bytes follow the last tensor"}},
      {"TrailingBytesWithoutTensors",
       [] { return joined(GgufBuilder().bytes(), Bytes(40)); },
       kFormat,
       {"32 bytes follow"}},
  };
  return kFiles;
}

class GgufBad : public testing::TestWithParam<BadFile> {};

TEST_P(GgufBad, IsRefused) {
  test::TemporaryDirectory dir;
  const std::string path = dir.file("bad.gguf");
  test::write_file(path, GetParam().make());
  test::expect_error(GetParam().code, {path}, [&] { Gguf::open(path); });
  for (const auto fragment : GetParam().fragments) {
    test::expect_error(GetParam().code, {fragment}, [&] { Gguf::open(path); });
  }
}

INSTANTIATE_TEST_SUITE_P(, GgufBad, testing::ValuesIn(bad_files()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace reattn::io
