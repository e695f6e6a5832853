// The container: counts, lengths, types, offsets, alignment, truncation.
#include <filesystem>
#include <limits>

#include "tests/support/gguf_builder.hpp"
#include "tests/trust/bad_files.hpp"

namespace reattn::test {
namespace {

using kernels::DType;

constexpr reattn_status F = REATTN_E_FORMAT;
constexpr reattn_status U = REATTN_E_UNSUPPORTED;
constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

struct Number {
  const char* name;
  uint64_t value;
};
constexpr Number kHuge[] = {{"2^31", uint64_t{1} << 31},
                            {"2^32", uint64_t{1} << 32},
                            {"2^62", uint64_t{1} << 62},
                            {"2^63", uint64_t{1} << 63},
                            {"-1", kMax}};

struct BrokenText {
  const char* name;
  std::string_view text;
};
constexpr BrokenText kBroken[] = {
    {"nul", {"a\0b", 3}},          {"bad-utf8", "a\xC3("},
    {"lone-tail", "\x80"},         {"overlong-utf8", "\xC0\xAF"},
    {"surrogate", "\xED\xA0\x80"}, {"beyond-unicode", "\xF4\x90\x80\x80"},
    {"cut-utf8", "a\xE2\x82"}};

Bytes value(uint32_t type, const Bytes& payload) {
  return GgufBuilder().kv_raw("some.key", type, payload).bytes();
}
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

// A file of holes behind a few bytes, so that large claims fit it.
auto sparse(const std::function<Bytes()>& content, uint64_t size) {
  return [=](const std::string& path) {
    write_file(path, content());
    std::filesystem::resize_file(path, size);
  };
}

void add_heads(BadFiles& out) {
  const BrokenText magics[] = {{"g", "G"},
                               {"gg", "GG"},
                               {"ggu", "GGU"},
                               {"alone", "GGUF"},
                               {"ggml", "ggml\1\0\0\0rest of a file"},
                               {"ggjt", "ggjt\3\0\0\0rest of a file"},
                               {"reversed", "FUGG\3\0\0\0rest of a file"},
                               {"lower-case", "gguf\3\0\0\0rest of a file"},
                               {"zip", "PK\3\4rest of a file of another kind"},
                               {"elf",
                                "\x7F"
                                "ELF\2\1\1 and the rest"},
                               {"json", "{\"a\": 1, \"b\": [1, 2, 3]}"},
                               {"pdf", "%PDF-1.7 and so on and so on"},
                               {"snapshot", "REATTNSN\1\0\0\0 and the rest"},
                               {"text", "version https://git-lfs.github.com"}};
  out.add("empty", F, [] { return Bytes(); });
  out.add("zeros", F, [] { return Bytes(4096); });
  for (const auto& m : magics) {
    out.add(std::string("magic-") + m.name, F, [m] { return text_bytes(m.text); });
  }
  for (const uint32_t v : {1u, 4u, 5u, 255u, 65535u, 65536u, 2u << 24, 3u << 24, 1u << 31, ~0u}) {
    out.add("version-" + std::to_string(v), U, [v] { return GgufBuilder().version(v).bytes(); });
  }
  out.add("version-0", F, [] { return GgufBuilder().version(0).bytes(); });
  for (const Number& n : kHuge) {
    out.add(std::string("n_kv-") + n.name, F,
            [n] { return GgufBuilder().claim_kv(n.value).bytes(); });
    out.add(std::string("n_tensors-") + n.name, F,
            [n] { return GgufBuilder().claim_tensors(n.value).bytes(); });
  }
  out.add("n_kv-wraps", F, [] { return GgufBuilder().claim_kv(kMax / 14 + 2).bytes(); });
  out.add("n_tensors-wraps", F, [] { return GgufBuilder().claim_tensors(kMax / 33 + 2).bytes(); });
  out.add("n_kv-one-more", F, [] { return GgufBuilder().kv_u32("k", 1).claim_kv(2).bytes(); });
  out.add("n_kv-one-less", F, [] {
    return GgufBuilder().kv_u32("k", 1).kv_str("l", std::string(60, 'x')).claim_kv(1).bytes();
  });
  out.add("n_tensors-one-more", F, [] {
    return GgufBuilder().tensor_zeros("w", {1}, DType::kF32).claim_tensors(2).bytes();
  });
  out.add_made("n_kv-above-limit", U,
               sparse([] { return GgufBuilder().claim_kv(65'537).bytes(); }, 1 << 24));
  out.add_made("n_tensors-above-limit", U,
               sparse([] { return GgufBuilder().claim_tensors(262'145).bytes(); }, 1 << 24));
}

void add_keys_and_values(BadFiles& out) {
  for (const Number& n : kHuge) {
    out.add(std::string("key-length-") + n.name, F,
            [n] { return GgufBuilder().kv_raw_length("k", n.value).bytes(); });
    out.add(std::string("string-length-") + n.name, F, [n] { return value(8, raw(n.value)); });
    out.add(std::string("strings-second-length-") + n.name, F, [n] {
      return value(
          9, joined(raw(uint32_t{8}, uint64_t{2}), joined(raw(uint64_t{0}, n.value), Bytes(8))));
    });
    out.add(std::string("strings-count-") + n.name, F,
            [n] { return value(9, raw(uint32_t{8}, n.value)); });
  }
  out.add("key-length-7", F, [] { return GgufBuilder().kv_raw_length("k", 7).bytes(); });
  out.add("key-empty", F, [] { return GgufBuilder().kv_u32("", 1).bytes(); });
  out.add("key-65536", F, [] { return GgufBuilder().kv_u32(std::string(65'536, 'k'), 1).bytes(); });
  out.add("key-twice", F, [] { return GgufBuilder().kv_u32("k", 1).kv_u32("k", 1).bytes(); });
  out.add("key-twice-of-two-types", F,
          [] { return GgufBuilder().kv_u32("k", 1).kv_str("k", "x").bytes(); });
  out.add("key-twice-apart", F,
          [] { return GgufBuilder().kv_u32("k", 1).kv_u32("l", 2).kv_u32("k", 1).bytes(); });
  for (const auto& b : kBroken) {
    out.add(std::string("key-") + b.name, F,
            [b] { return GgufBuilder().kv_u32(b.text, 1).bytes(); });
    out.add(std::string("tensor-name-") + b.name, F,
            [b] { return GgufBuilder().tensor_zeros(b.text, {8}, DType::kF32).bytes(); });
  }
  for (const uint32_t type : {13u, 14u, 255u, 1u << 31, ~0u}) {
    out.add("value-type-" + std::to_string(type), F, [type] { return value(type, Bytes(8)); });
    out.add("array-type-" + std::to_string(type), F,
            [type] { return value(9, raw(type, uint64_t{1}, uint64_t{0})); });
  }
  constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4,
                               1, 8, 0, 8, 8, 8};  // of each type; a string's length
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  for (uint32_t type = 0; type < 13; ++type) {
    if (type == 9) continue;
    const std::string name = kNames[type];
    const size_t n = kBytes[type];
    out.add("value-cut-" + name, F, [=] { return value(type, Bytes(n - 1)); });
    out.add("array-one-more-" + name, F,
            [=] { return value(9, joined(raw(type, uint64_t{3}), Bytes(2 * n))); });
    out.add("array-2^63-" + name, F,
            [=] { return value(9, joined(raw(type, uint64_t{1} << 63), Bytes(n))); });
    out.add("array-minus-1-" + name, F,
            [=] { return value(9, joined(raw(type, kMax), Bytes(n))); });
    out.add("array-size-wraps-" + name, F,
            [=] { return value(9, joined(raw(type, kMax / n + 2), Bytes(n))); });
    out.add_made("array-of-a-terabyte-" + name, U,
                 sparse([=] { return value(9, raw(type, uint64_t{1} << 38)); }, uint64_t{1} << 42));
  }
  out.add("array-head-cut", F, [] { return value(9, raw(uint32_t{4}, uint32_t{1})); });
  out.add("array-of-arrays", U,
          [] { return value(9, raw(uint32_t{9}, uint64_t{1}, uint32_t{0}, uint64_t{0})); });
  out.add("array-of-arrays-10000-deep", U, [] {
    Bytes nested;
    for (int i = 0; i < 10'000; ++i) nested = joined(nested, raw(uint32_t{9}, uint64_t{1}));
    return value(9, nested);
  });
  for (const int b : {2, 7, 128, 255}) {
    out.add("bool-" + std::to_string(b), F, [b] { return value(7, raw(static_cast<uint8_t>(b))); });
    out.add("bool-in-an-array-" + std::to_string(b), F, [b] {
      return value(9, raw(uint32_t{7}, uint64_t{2}, uint8_t{1}, static_cast<uint8_t>(b)));
    });
  }
  out.add_made("string-of-a-gigabyte", U,
               sparse([] { return value(8, raw(uint64_t{1} << 30)); }, uint64_t{2} << 30));
}

void add_tensors(BadFiles& out) {
  for (const uint32_t a : {0u, 1u, 3u, 4u, 7u, 12u, 24u, 33u, 1u << 21, 1u << 31, ~0u}) {
    out.add("alignment-" + std::to_string(a), F, [a] {
      return GgufBuilder()
          .kv_u32("general.alignment", a)
          .tensor_zeros("w", {8}, DType::kF32)
          .bytes();
    });
  }
  for (const RawValue& v : {str_value("string", "32"), u64_value("u64", 32), i32_value("i32", 32),
                            f32_value("f32", 32), array_value("array", 4, 1, raw(32u))}) {
    out.add(std::string("alignment-as-") + v.name, F,
            [v] { return GgufBuilder().kv_raw("general.alignment", v.type, v.payload).bytes(); });
  }
  out.add("tensor-name-empty", F,
          [] { return GgufBuilder().tensor_zeros("", {8}, DType::kF32).bytes(); });
  out.add("tensor-name-65", F, [] {
    return GgufBuilder().tensor_zeros(std::string(65, 't'), {8}, DType::kF32).bytes();
  });
  out.add("tensor-twice", F, [] {
    return GgufBuilder()
        .tensor_zeros("w", {8}, DType::kF32)
        .tensor_zeros("w", {8}, DType::kF32)
        .bytes();
  });
  for (const uint32_t n : {0u, 5u, 6u, 255u, 1u << 31, ~0u}) {
    out.add("n_dims-" + std::to_string(n), F, [n] { return tensor({1, 1, 1, 1, 1}, 0, 4, {}, n); });
  }
  for (size_t i = 0; i < 4; ++i) {
    for (const int64_t n : {int64_t{0}, int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
      out.add("dimension-" + std::to_string(i) + "-is-" + std::to_string(n), F, [=] {
        std::vector<int64_t> shape(4, 1);
        shape[i] = n;
        return tensor(shape, 0, 4);
      });
    }
  }
  const std::pair<const char*, std::vector<int64_t>> products[] = {
      {"to-0", {int64_t{1} << 32, int64_t{1} << 32}},
      {"to-1", {0x5555555555555555, 3, 0x3FFFFFFFFFFFFFFF}},
      {"to-negative", {int64_t{1} << 62, 2}},
      {"in-the-last", {int64_t{1} << 30, int64_t{1} << 30, 4, 1 << 20}},
      {"of-four", {1 << 16, 1 << 16, 1 << 16, 1 << 16}}};
  for (const auto& [name, shape] : products) {
    out.add(std::string("product-wraps-") + name, F,
            [shape = shape] { return tensor(shape, 0, 4); });
  }
  struct Type {
    const char* name;
    uint32_t id;
    int64_t elements;
    size_t bytes;  // of a block
  };
  constexpr Type kTypes[] = {{"F32", 0, 1, 4},    {"F16", 1, 1, 2},    {"BF16", 30, 1, 2},
                             {"Q4_0", 2, 32, 18}, {"Q4_1", 3, 32, 20}, {"Q8_0", 8, 32, 34}};
  for (const Type& t : kTypes) {
    const std::string name = t.name;
    out.add(name + "-one-byte-short", F,
            [t] { return tensor({t.elements * 64}, t.id, t.bytes * 64 - 1); });
    out.add(name + "-of-a-terabyte", F, [t] { return tensor({t.elements << 38}, t.id, 64); });
    out.add(name + "-offset-wraps", F,
            [t] { return tensor({t.elements << 30}, t.id, 64, kMax - 31); });
    out.add(name + "-tail-in-the-neighbour", F, [t] {
      return GgufBuilder()
          .tensor_raw("a", {t.elements * 64}, t.id, Bytes(t.bytes * 64 - 32), uint64_t{0})
          .tensor_raw("b", {16}, 0, Bytes(64))
          .bytes();
    });
    if (t.bytes > static_cast<size_t>(t.elements)) {
      out.add(name + "-bytes-wrap", F, [t] {
        return tensor({std::numeric_limits<int64_t>::max() / t.elements * t.elements}, t.id, 64);
      });
    }
    if (t.elements == 1) continue;
    for (const int64_t n : {1, 16, 31, 33}) {
      out.add(name + "-row-of-" + std::to_string(n), F, [=] {
        return tensor({n, 32}, t.id, t.bytes * 32);
      });
    }
  }
  for (const uint32_t id : {4u, 5u, 24u, 25u, 26u, 27u, 28u, 31u, 33u, 36u, 38u}) {
    out.add("type-not-read-" + std::to_string(id), U, [id] { return tensor({256}, id, 512); });
  }
  for (const uint32_t id : {1000u, 65535u, 1u << 31, ~0u}) {
    out.add("type-unknown-" + std::to_string(id), F, [id] { return tensor({256}, id, 512); });
  }
  for (const uint64_t offset : {1, 4, 16, 31}) {
    out.add("offset-unaligned-" + std::to_string(offset), F,
            [offset] { return tensor({16}, 0, 128, offset); });
  }
  for (const uint64_t offset :
       {uint64_t{64}, uint64_t{4096}, uint64_t{1} << 32, uint64_t{1} << 63, kMax - 31}) {
    out.add("offset-past-the-end-" + std::to_string(offset), F,
            [offset] { return tensor({16}, 0, 64, offset); });
  }
  out.add("offsets-overlap", F, [] { return two_tensors(0, 32); });
  out.add("offsets-overlap-swapped", F, [] { return two_tensors(32, 0); });
  out.add("offsets-same", F, [] { return two_tensors(0, 0); });
  out.add("hole-between", F, [] { return joined(two_tensors(0, 96), Bytes(32)); });
  out.add("hole-before", F, [] { return joined(tensor({16}, 0, 64, 32), Bytes(32)); });
  for (const size_t n : {1, 31, 32, 4096}) {
    out.add("trailing-" + std::to_string(n), F,
            [n] { return joined(tensor({16}, 0, 64), Bytes(n)); });
  }
}

}  // namespace

void add_bad_gguf(BadFiles& out) {
  out.family("gguf/", BadFile::Use::kModel);
  add_heads(out);
  add_keys_and_values(out);
  add_tensors(out);
}

}  // namespace reattn::test
