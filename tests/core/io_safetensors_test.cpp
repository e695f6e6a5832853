// Safetensors: files and folders that are right, and the lies that a header or an index can tell.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/io/safetensors.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/support/gguf_builder.hpp"
#include "tests/support/safetensors_builder.hpp"

namespace reattn::io {
namespace {

using kernels::DType;
using test::expect_error;
using test::safetensors_file;
using test::SafetensorsBuilder;
using test::TemporaryDirectory;
using Bytes = std::vector<std::byte>;

Bytes text_bytes(std::string_view s) {
  const auto bytes = std::as_bytes(std::span(s));
  return {bytes.begin(), bytes.end()};
}

Bytes counted(size_t n) {
  Bytes out(n);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(i);
  return out;
}

SafetensorsBuilder good() {
  return SafetensorsBuilder()
      .tensor("w", "F16", {2, 3}, counted(12))
      .tensor("b", "F32", {1}, counted(4))
      .tensor("scalar", "BF16", {}, counted(2))
      .tensor("empty", "F32", {4, 0}, {});
}

Safetensors parse(const Bytes& bytes) {
  const TemporaryDirectory folder;
  test::write_file(folder.file("model.safetensors"), bytes);
  return Safetensors::parse(File::open(folder.file("model.safetensors")));
}

TEST(Safetensors, ReadsAFile) {
  const Safetensors file = parse(good().bytes());
  ASSERT_EQ(file.tensors().size(), 4u);
  const TensorInfo& w = file.get_tensor("w");
  EXPECT_EQ(w.shape, (std::vector<int64_t>{3, 2}));  // contiguous dimension first
  EXPECT_EQ(w.dtype, DType::kF16);
  Bytes data(12);
  file.read_tensor(w, data);
  EXPECT_EQ(data, counted(12));
  data.resize(2);
  file.read_tensor(w, 10, data);
  EXPECT_EQ(data[0], std::byte{10});
  EXPECT_EQ(file.get_tensor("b").dtype, DType::kF32);
  EXPECT_EQ(file.get_tensor("scalar").shape.size(), 0u);
  EXPECT_EQ(file.get_tensor("empty").n_bytes, 0u);
  EXPECT_EQ(file.find_tensor("W"), nullptr);
  expect_error(ErrorCode::kFormat, {"tensor 'W' is missing"}, [&] { file.get_tensor("W"); });
  expect_error(ErrorCode::kInternal, {"'w' has 12 bytes"}, [&] { file.read_tensor(w, 11, data); });
}

TEST(Safetensors, AHeaderMayBePaddedAndHoldNothing) {
  EXPECT_EQ(parse(safetensors_file("{}   ")).tensors().size(), 0u);
  EXPECT_EQ(parse(safetensors_file(R"({"__metadata__":{}})")).tensors().size(), 0u);
}

struct Lie {
  const char* name;
  std::string header;
  size_t n_data;
  ErrorCode code;
  std::string_view fragment;
};
void PrintTo(const Lie& lie, std::ostream* out) {
  *out << lie.name;
}

// A header of one tensor of F32 with these fields.
std::string with(std::string_view shape, std::string_view offsets, std::string_view dtype = "F32") {
  return concat(R"({"w":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":)", offsets,
                "}}");
}
std::string two(std::string_view first, std::string_view second) {
  return concat(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)", first,
                R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)", second, "}}");
}

constexpr ErrorCode kFormat = ErrorCode::kFormat;
constexpr ErrorCode kUnsupported = ErrorCode::kUnsupported;

const Lie kLies[] = {
    {"NoObject", "[]", 0, kFormat, "begin with '{'"},
    {"Space", " {}", 0, kFormat, "begin with '{'"},
    {"NoJson", "{", 0, kFormat, "not JSON"},
    {"NothingAtAll", "", 0, kFormat, "begin with '{'"},
    {"TensorIsANumber", R"({"w":1})", 0, kFormat, "'w' is an integer"},
    {"TensorTwice", R"({"w":{},"w":{}})", 0, kFormat, "'w' occurs twice"},
    {"EmptyName", R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, kFormat,
     "0 bytes"},
    {"NulInName", R"({"a\u0000":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, kFormat,
     "NUL"},
    {"MetadataOfNumbers", R"({"__metadata__":{"n":1}})", 0, kFormat, "an integer at 'n'"},
    {"MetadataIsAList", R"({"__metadata__":[]})", 0, kFormat, "'__metadata__' is an array"},
    {"UnknownField", R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]}})", 4,
     kFormat, "'w.strides' is not part"},
    {"NoDtype", R"({"w":{"shape":[1],"data_offsets":[0,4]}})", 4, kFormat, "'w.dtype' is missing"},
    {"NoShape", R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", 4, kFormat,
     "'w.shape' is missing"},
    {"NoOffsets", R"({"w":{"dtype":"F32","shape":[1]}})", 4, kFormat,
     "'w.data_offsets' is missing"},
    {"DtypeUnheardOf", with("[1]", "[0,4]", "F33"), 4, kFormat, "'F33'"},
    {"DtypeF64", with("[1]", "[0,8]", "F64"), 8, kUnsupported, "'F64'"},
    {"DtypeF8", with("[1]", "[0,1]", "F8_E4M3"), 1, kUnsupported, "'F8_E4M3'"},
    {"DtypeI32", with("[1]", "[0,4]", "I32"), 4, kUnsupported, "'I32'"},
    {"ShapeIsANumber", with("4", "[0,4]"), 4, kFormat, "'w.shape' is 4"},
    {"ShapeNegative", with("[-1]", "[0,4]"), 4, kFormat, "'w.shape' is [-1]"},
    {"ShapeFraction", with("[1.5]", "[0,4]"), 4, kFormat, "'w.shape'"},
    {"ShapeOfNine", with("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, kFormat, "0 to 8 integers"},
    {"ShapeOverflows", with("[4611686018427387904,4611686018427387904]", "[0,4]"), 4, kFormat,
     "2^63"},
    {"ShapeOverflowsInBytes", with("[2305843009213693952]", "[0,4]"), 4, kFormat, "2^63"},
    {"ShapeBeyond63Bits", with("[9223372036854775808]", "[0,4]"), 4, kFormat, "'w.shape'"},
    {"ShapeTooSmall", with("[1]", "[0,8]"), 8, kFormat, "ask for 4 bytes"},
    {"ShapeTooLarge", with("[3]", "[0,8]"), 8, kFormat, "ask for 12 bytes"},
    {"OneOffset", with("[1]", "[0]"), 4, kFormat, "2 integers"},
    {"ThreeOffsets", with("[1]", "[0,4,8]"), 8, kFormat, "2 integers"},
    {"OffsetsBackwards", with("[1]", "[4,0]"), 4, kFormat, "ask for 4 bytes"},
    {"OffsetNegative", with("[1]", "[-4,0]"), 4, kFormat, "'w.data_offsets'"},
    {"OffsetsAtTheEnd", with("[1]", "[9223372036854775803,9223372036854775807]"), 4, kFormat,
     "hole"},
    {"PastTheEnd", with("[2]", "[0,8]"), 4, kFormat, "cut short"},
    {"HoleBefore", with("[1]", "[4,8]"), 8, kFormat, "hole"},
    {"HoleBetween", two("[0,4]", "[8,12]"), 12, kFormat, "hole"},
    {"Overlap", two("[0,4]", "[2,6]"), 6, kFormat, "overlap"},
    {"SamePlace", two("[0,4]", "[0,4]"), 4, kFormat, "overlap"},
    {"BytesBehind", with("[1]", "[0,4]"), 5, kFormat, "1 bytes follow"},
    {"OnlyBytes", "{}", 8, kFormat, "8 bytes follow"},
    {"Deep", R"({"w":)" + std::string(100'000, '['), 0, kUnsupported, "deep"},
};

class Lies : public testing::TestWithParam<Lie> {};

TEST_P(Lies, AreRefused) {
  const Lie& lie = GetParam();
  expect_error(lie.code, {"model.safetensors: ", lie.fragment},
               [&] { parse(safetensors_file(lie.header, lie.n_data)); });
}
INSTANTIATE_TEST_SUITE_P(Safetensors, Lies, testing::ValuesIn(kLies),
                         [](const auto& lie) { return std::string(lie.param.name); });

TEST(Safetensors, RefusesEveryCutAndEveryLength) {
  const Bytes whole = good().bytes();
  for (size_t n = 0; n < whole.size(); ++n) {
    expect_error(ErrorCode::kFormat, {"model.safetensors"}, [&] {
      parse({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)});
    });
  }
  Bytes longest = whole;
  std::fill_n(longest.begin(), 8, std::byte{0xFF});
  expect_error(ErrorCode::kFormat, {"18446744073709551615 bytes"}, [&] { parse(longest); });
  const Bytes large = safetensors_file("{}" + std::string(9 << 20, ' '));
  expect_error(ErrorCode::kUnsupported, {"at most 8388608"}, [&] { parse(large); });
}

class Folder : public testing::Test {
 protected:
  void put(std::string_view name, const Bytes& content) {
    test::write_file(dir_.file(name), content);
  }
  void put_shards() {
    put("a.safetensors", SafetensorsBuilder().tensor("one", "F32", {1}, counted(4)).bytes());
    put("b.safetensors", SafetensorsBuilder().tensor("two", "F16", {2}, counted(4)).bytes());
  }
  void put_index(std::string_view weight_map) {
    put("model.safetensors.index.json",
        text_bytes(concat(R"({"metadata":{"total_size":8},"weight_map":)", weight_map, "}")));
  }
  void refused(ErrorCode code, std::initializer_list<std::string_view> words) {
    expect_error(code, words, [&] { Safetensors::open(dir_.path()); });
  }
  TemporaryDirectory dir_;
};

TEST_F(Folder, OfOneFile) {
  put("model.safetensors", good().bytes());
  EXPECT_EQ(Safetensors::open(dir_.path()).tensors().size(), 4u);
}

TEST_F(Folder, OfShards) {
  put_shards();
  put_index(R"({"two":"b.safetensors","one":"a.safetensors"})");
  const Safetensors model = Safetensors::open(dir_.path());
  ASSERT_EQ(model.tensors().size(), 2u);
  for (const char* name : {"one", "two"}) {
    Bytes data(4);
    model.read_tensor(model.get_tensor(name), data);
    EXPECT_EQ(data, counted(4)) << name;
  }
}

// As the cache of Hugging Face's hub has them.
TEST_F(Folder, OfLinksToFilesElsewhere) {
  const TemporaryDirectory blobs;
  test::write_file(blobs.file("blob"), good().bytes());
  std::filesystem::create_symlink(blobs.file("blob"), dir_.file("model.safetensors"));
  EXPECT_EQ(Safetensors::open(dir_.path()).tensors().size(), 4u);
}

TEST_F(Folder, WithoutAnyIsRefused) {
  refused(ErrorCode::kIo, {dir_.path(), "neither model.safetensors nor"});
  std::filesystem::create_directory(dir_.file("model.safetensors"));
  refused(ErrorCode::kIo, {"model.safetensors", "a directory"});
}

TEST_F(Folder, IndexesThatLie) {
  put_shards();
  const auto index = [&](std::string_view weight_map, std::string_view fragment) {
    put_index(weight_map);
    refused(ErrorCode::kFormat, {"model.safetensors.index.json", fragment});
  };
  index("1", "'weight_map' is an integer");
  index("null", "'weight_map' is missing");
  index(R"({"one":1,"two":"b.safetensors"})", "0 bytes");
  index(R"({"one":"","two":"b.safetensors"})", "0 bytes");
  for (const char* outside :
       {"../a.safetensors", "/etc/a.safetensors", "x/../a.safetensors", "x\\\\a.safetensors", "..",
        ".", "a.bin", "model.safetensors.index.json"}) {
    index(concat(R"({"one":")", outside, R"(","two":"b.safetensors"})"), "in the same folder");
  }
  index(R"({"one":"a.safetensors\u0000","two":"b.safetensors"})", "NUL");
  index(R"({"one":"b.safetensors","two":"b.safetensors"})", "'weight_map.one' is 'b.safetensors'");
  index(R"({"one":"a.safetensors","three":"b.safetensors"})", "'weight_map.three'");
  index(R"({"one":"a.safetensors","two":"b.safetensors","three":"b.safetensors"})",
        "'weight_map.three'");
  index(R"({"one":"a.safetensors","one":"b.safetensors"})", "occurs twice");
  put("b.safetensors", good().bytes());
  index(R"({"one":"a.safetensors","w":"b.safetensors"})", "names 2 tensors, its files have 5");
  put_index(R"({"one":"a.safetensors","two":"c.safetensors"})");
  refused(ErrorCode::kIo, {"c.safetensors", "cannot be opened"});
  put("b.safetensors", SafetensorsBuilder().tensor("one", "F16", {2}, counted(4)).bytes());
  put_index(R"({"one":"a.safetensors","two":"b.safetensors"})");
  refused(ErrorCode::kFormat, {"'one' occurs twice"});
  std::string many = "{";
  for (int i = 0; i < 513; ++i) {
    many += concat(i > 0 ? "," : "", "\"t", i, "\":\"", i, ".safetensors\"");
  }
  put_index(many + "}");
  refused(ErrorCode::kUnsupported, {"513 files"});
}

}  // namespace
}  // namespace reattn::io
