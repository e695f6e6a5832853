// Safetensors files and indexes that lie, in folders that are otherwise good.
#include <algorithm>
#include <tuple>

#include "tests/support/tiny_llama.hpp"
#include "tests/trust/bad_folder.hpp"

namespace reattn::test {
namespace {

using namespace bad_folder;

// A header of one tensor with these fields.
std::string tensor(const std::string& shape, const std::string& offsets,
                   const std::string& dtype = "F32") {
  return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

void add_headers(BadFiles& out) {
  const std::string header = TinyFolder().tensors().header();
  const std::tuple<const char*, reattn_status, std::string, size_t> headers[] = {
      {"empty", F, "", 0},
      {"of-one-brace", F, "{", 0},
      {"an-array", F, "[]", 0},
      {"a-space-first", F, " {}", 0},
      {"no-tensors", F, "{}", 0},
      {"no-tensors-but-bytes", F, "{}", 64},
      {"deep", U, "{\"w\":" + times("[", 1'000'000), 0},
      {"key-twice", F, R"({"w":{},"w":{}})", 0},
      {"field-twice", F, R"({"w":{"dtype":"F32","dtype":"F32"}})", 0},
      {"bad-utf8", F, "{\"\xC3\":{}}", 0},
      {"nul-in-name", F, R"({"w\u0000":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4},
      {"name-of-300-bytes", F,
       "{\"" + times("w", 300) + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4},
      {"metadata-of-numbers", F, R"({"__metadata__":{"n":1}})", 0},
      {"tensor-a-number", F, R"({"w":1})", 0},
      {"field-unheard-of", F, R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4},
      {"dtype-unheard-of", F, tensor("[1]", "[0,4]", "F33"), 4},
      {"dtype-number", F, R"({"w":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})", 4},
      {"dtype-I32", U, tensor("[1]", "[0,4]", "I32"), 4},
      {"dtype-F8", U, tensor("[1]", "[0,1]", "F8_E4M3"), 1},
      {"dtype-F64", U, tensor("[1]", "[0,8]", "F64"), 8},
      {"shape-missing", F, R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", 4},
      {"shape-negative", F, tensor("[-1]", "[0,4]"), 4},
      {"shape-two-negative", F, tensor("[-1,-1]", "[0,4]"), 4},
      {"shape-fraction", F, tensor("[1.0]", "[0,4]"), 4},
      {"shape-overflow", F, tensor("[4294967296,4294967296]", "[0,4]"), 4},
      {"shape-overflow-in-bytes", F, tensor("[4611686018427387904]", "[0,0]"), 0},
      {"shape-2^64+1", F, tensor("[18446744073709551617]", "[0,4]"), 4},
      {"shape-of-9", F, tensor("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4},
      {"shape-of-100000", F, tensor("[" + times("1,", 99'999) + "1]", "[0,4]"), 4},
      {"offsets-missing", F, R"({"w":{"dtype":"F32","shape":[1]}})", 4},
      {"offsets-one", F, tensor("[1]", "[0]"), 4},
      {"offsets-three", F, tensor("[1]", "[0,4,8]"), 8},
      {"offsets-backwards", F, tensor("[1]", "[4,0]"), 4},
      {"offsets-negative", F, tensor("[1]", "[-4,0]"), 4},
      {"offsets-beyond-the-file", F, tensor("[1]", "[1000000,1000004]"), 4},
      {"offsets-near-2^63", F, tensor("[1]", "[9223372036854775803,9223372036854775807]"), 4},
      {"offsets-other-size", F, tensor("[1]", "[0,8]"), 8},
      {"past-the-end", F, tensor("[2]", "[0,8]"), 4},
      {"hole-first", F, tensor("[1]", "[4,8]"), 8},
      {"bytes-behind", F, tensor("[1]", "[0,4]"), 5},
      {"terabytes", F, tensor("[1099511627776]", "[0,4398046511104]"), 4},
      {"of-the-tensors-alone", F, header, 0},
      {"9-MiB", U, "{}" + std::string(9 << 20, ' '), 0},
  };
  for (const auto& [name, expected, text, n] : headers) {
    add(out, std::string("header-") + name, expected, [text = text, n = n] {
      return Files{{kWeights, safetensors_file(text, n)}};
    });
  }
  const auto two = [](const char* first, const char* second) {
    return safetensors_file(std::string(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)") +
                                first + R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" +
                                second + "}}",
                            12);
  };
  add(out, "header-hole-between", F, [=] { return Files{{kWeights, two("[0,4]", "[8,12]")}}; });
  add(out, "header-overlap", F, [=] { return Files{{kWeights, two("[0,4]", "[2,6]")}}; });
  add(out, "header-same-place", F, [=] { return Files{{kWeights, two("[0,4]", "[0,4]")}}; });
  add(out, "header-100000-tensors", U, [] {
    std::string text = "{\"t\":{}";
    for (int i = 0; i < 100'000; ++i) text += ",\"t" + std::to_string(i) + "\":{}";
    return Files{{kWeights, safetensors_file(text + "}")}};
  });
  for (const auto& [name, length] :
       {std::pair{"0", uint64_t{0}}, std::pair{"1", uint64_t{1}},
        std::pair{"one-less", uint64_t{header.size() - 1}},
        std::pair{"one-more", uint64_t{header.size() + 1}},
        std::pair{"beyond-the-file", uint64_t{1} << 32}, std::pair{"2^63", uint64_t{1} << 63},
        std::pair{"2^64-8", ~uint64_t{7}}, std::pair{"2^64-1", ~uint64_t{0}}}) {
    add(out, std::string("header-length-") + name, F, [length = length] {
      Bytes all = TinyFolder().tensors().bytes();
      const Bytes stated = raw(length);
      std::copy(stated.begin(), stated.end(), all.begin());
      return Files{{kWeights, std::move(all)}};
    });
  }
  for (size_t i = 0; i < 16; ++i) {
    add(out, "weights-cut-at-" + std::to_string(i) + "-of-16", F, [i] {
      Bytes all = TinyFolder().tensors().bytes();
      all.resize(all.size() * i / 16);
      return Files{{kWeights, std::move(all)}};
    });
  }
  add(out, "weights-a-byte-too-many", F, [] {
    return Files{{kWeights, joined(TinyFolder().tensors().bytes(), Bytes(1))}};
  });
  add(out, "weights-a-gguf-file", F, [] { return Files{{kWeights, tiny_llama({.n_layers = 1})}}; });
}

void add_indexes(BadFiles& out) {
  // The good tensors in two files.
  const auto shards = [] {
    SafetensorsBuilder head = TinyFolder().tensors(), rest = TinyFolder().tensors();
    for (const std::string& name : TinyFolder().tensors().names()) {
      name == "lm_head.weight" ? rest.without(name) : head.without(name);
    }
    return Files{{"head.safetensors", head.bytes()}, {"rest.safetensors", rest.bytes()}};
  };
  // The index, with one entry changed, and the files of it.
  const auto index = [&](const char* name, reattn_status expected, const std::string& key,
                         const std::string& value, const char* without = nullptr) {
    out.add_made(std::string("index-") + name, expected, [=](const std::string& path) {
      std::vector<std::pair<std::string, std::string>> map;
      for (const std::string& tensor : TinyFolder().tensors().names()) {
        map.emplace_back(
            tensor, tensor == "lm_head.weight" ? "\"head.safetensors\"" : "\"rest.safetensors\"");
      }
      std::erase_if(map, [&](const auto& m) { return m.first == key; });
      if (!value.empty()) map.emplace_back(key, value);
      Files files = shards();
      files[kConfig] = TinyFolder().files()[kConfig];
      files[kIndex] = text_bytes(R"({"weight_map":)" + json_object(map) + "}");
      if (without) files.erase(without);
      write_files(path, files);
    });
  };
  const char* head = "lm_head.weight";
  index("without-a-shard", IO, head, "\"head.safetensors\"", "head.safetensors");
  index("of-a-shard-that-is-not-there", IO, head, "\"none.safetensors\"");
  index("of-the-parent", F, head, R"("../head.safetensors")");
  index("of-the-root", F, head, R"("/etc/head.safetensors")");
  index("through-the-parent", F, head, R"("x/../head.safetensors")");
  index("with-a-backslash", F, head, R"("..\\head.safetensors")");
  index("of-two-dots", F, head, R"("..")");
  index("of-no-name", F, head, R"("")");
  index("of-another-kind-of-file", F, head, R"("pytorch_model.bin")");
  index("with-a-nul", F, head, R"("head.safetensors\u0000.safetensors")");
  index("with-a-long-name", F, head, "\"" + times("x", 5000) + ".safetensors\"");
  index("of-a-number", F, head, "1");
  index("of-the-wrong-shard", F, head, "\"rest.safetensors\"");
  index("without-a-tensor", F, head, "");
  index("with-one-tensor-more", F, "unheard.of", "\"head.safetensors\"");
  const std::tuple<const char*, reattn_status, std::string> texts[] = {
      {"empty", F, ""},
      {"not-json", F, "weight_map"},
      {"an-array", F, "[]"},
      {"without-weight_map", F, "{}"},
      {"weight_map-an-array", F, R"({"weight_map":[]})"},
      {"weight_map-empty", F, R"({"weight_map":{}})"},
      {"deep", U, R"({"weight_map":)" + times("{\"a\":", 50'000)},
      {"tensor-twice", F, R"({"weight_map":{"a":"head.safetensors","a":"rest.safetensors"}})"},
  };
  for (const auto& [name, expected, text] : texts) {
    out.add_made(std::string("index-") + name, expected, [=, text = text](const std::string& path) {
      Files files = shards();
      files[kConfig] = TinyFolder().files()[kConfig];
      files[kIndex] = text_bytes(text);
      write_files(path, files);
    });
  }
  out.add_made("index-of-600-shards", U, [](const std::string& path) {
    std::string text = R"({"weight_map":{"t":"t.safetensors")";
    for (int i = 0; i < 600; ++i)
      text += ",\"t" + std::to_string(i) + "\":\"" + std::to_string(i) + ".safetensors\"";
    write_files(path,
                {{kConfig, TinyFolder().files()[kConfig]}, {kIndex, text_bytes(text + "}}")}});
  });
}

}  // namespace

void add_bad_safetensors(BadFiles& out) {
  out.family("safetensors/", BadFile::Use::kModel);
  add_headers(out);
  add_indexes(out);
}

}  // namespace reattn::test
