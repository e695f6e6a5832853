// Tokenizers that contradict themselves, and chat templates that break out, run away or are none.
#include <limits>
#include <tuple>

#include "tests/support/tiny_llama.hpp"
#include "tests/trust/bad_files.hpp"

namespace reattn::test {
namespace {

constexpr reattn_status F = REATTN_E_FORMAT;
constexpr reattn_status U = REATTN_E_UNSUPPORTED;
constexpr uint32_t kVocab = 260;

GgufBuilder base() {
  return tiny_llama_builder({.n_layers = 1, .n_vocab = kVocab});
}
Bytes with(std::string_view key, const RawValue& v) {
  return base().without_kv(key).kv_raw(key, v.type, v.payload).bytes();
}

Bytes strings(const std::vector<std::string>& v) {
  Bytes out;
  for (const std::string& s : v)
    out = joined(std::move(out), joined(raw(uint64_t{s.size()}), text_bytes(s)));
  return out;
}

// The base's tokens with some changed.
std::vector<std::string> tokens() {
  std::vector<std::string> out(kVocab);
  for (size_t i = 0; i < out.size(); ++i) out[i] = "token" + std::to_string(i);
  return out;
}
Bytes with_tokens(const std::vector<std::string>& v) {
  return base()
      .without_kv("tokenizer.ggml.tokens")
      .without_kv("tokenizer.ggml.merges")
      .kv_arr_str("tokenizer.ggml.tokens", v)
      .kv_arr_str("tokenizer.ggml.merges", {})
      .bytes();
}

// A SentencePiece tokenizer: <unk>, <s>, </s>, the bytes, the space.
std::vector<std::string> pieces() {
  std::vector<std::string> out = {"<unk>", "<s>", "</s>"};
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (size_t b = 0; b < 256; ++b) {
    out.push_back(std::string("<0x") + kDigits[b >> 4] + kDigits[b & 15] + ">");
  }
  out.push_back("\xE2\x96\x81");
  return out;
}
std::vector<int32_t> piece_types() {
  std::vector<int32_t> out(kVocab, 6);
  out[0] = 2;
  out[1] = out[2] = 3;
  out[kVocab - 1] = 1;
  return out;
}
GgufBuilder sentence_piece(const std::vector<std::string>& tokens,
                           const std::vector<int32_t>& types, const std::vector<float>& scores) {
  GgufBuilder b = base();
  for (const char* key : {"model", "pre", "tokens", "token_type", "merges", "scores"}) {
    b.without_kv(std::string("tokenizer.ggml.") + key);
  }
  return b.kv_str("tokenizer.ggml.model", "llama")
      .kv_arr_str("tokenizer.ggml.tokens", tokens)
      .kv_arr_i32("tokenizer.ggml.token_type", types)
      .kv_arr_f32("tokenizer.ggml.scores", scores);
}

void add_sentence_piece(BadFiles& out) {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> scores(kVocab, -1);
  const auto with_scores = [&](const char* name, std::vector<float> v) {
    out.add(std::string("spm-scores-") + name, F,
            [v] { return sentence_piece(pieces(), piece_types(), v).bytes(); });
  };
  with_scores("none", {});
  with_scores("one-less", std::vector<float>(kVocab - 1, -1));
  with_scores("one-more", std::vector<float>(kVocab + 1, -1));
  for (const auto& [name, value] : {std::pair{"nan", Limits::quiet_NaN()},
                                    {"infinite", Limits::infinity()},
                                    {"minus-infinite", -Limits::infinity()}}) {
    std::vector<float> v = scores;
    v[200] = value;
    with_scores(name, v);
  }
  const auto changed = [&](const char* name, reattn_status expected, size_t at,
                           const std::string& token, int32_t type) {
    out.add(std::string("spm-") + name, expected, [=] {
      auto tokens = pieces();
      auto types = piece_types();
      tokens[at] = token;
      types[at] = type;
      return sentence_piece(tokens, types, scores).bytes();
    });
  };
  changed("byte-missing", U, 100, "x", 1);
  changed("byte-of-another-type", U, 100, pieces()[100], 1);
  changed("byte-in-small-letters", U, 200, "<0xc5>", 6);
  changed("token-twice", F, 100, pieces()[101], 6);
  changed("token-bad-utf8", F, kVocab - 1, "\xE2\x96", 1);
  const auto beside = [&](const char* name, reattn_status expected, const RawValue& v) {
    out.add(std::string("spm-") + name + "-" + v.name, expected, [=] {
      return sentence_piece(pieces(), piece_types(), scores)
          .without_kv(std::string("tokenizer.ggml.") + name)
          .kv_raw(std::string("tokenizer.ggml.") + name, v.type, v.payload)
          .bytes();
    });
  };
  beside("scores", F, str_value("string", "1"));
  beside("scores", F, array_value("integers", 4, kVocab, Bytes(4 * kVocab)));
  beside("precompiled_charsmap", U, array_value("bytes", 0, 3, Bytes(3)));
  beside("remove_extra_whitespaces", U, {"true", 7, raw(uint8_t{1})});
  beside("remove_extra_whitespaces", F, u32_value("integer", 1));
  beside("add_space_prefix", F, u32_value("integer", 1));
  beside("eos_token_id", F, u32_value("at-the-end", kVocab));
}

void add_tokenizers(BadFiles& out) {
  for (const char* key : {"bos", "eos", "unknown", "padding"}) {
    const std::string full = std::string("tokenizer.ggml.") + key + "_token_id";
    for (const RawValue& v :
         {u32_value("at-the-end", kVocab), u32_value("2^31", 1u << 31), u32_value("2^32-1", ~0u),
          i32_value("-2", -2), u64_value("2^63", uint64_t{1} << 63),
          u64_value("2^32+1", (uint64_t{1} << 32) + 1), f32_value("float", 1),
          str_value("string", "1"), array_value("array", 4, 1, raw(1u))}) {
      out.add(std::string(key) + "-" + v.name, F, [=] { return with(full, v); });
    }
  }
  for (const char* key : {"add_bos_token", "add_eos_token", "add_space_prefix"}) {
    for (const RawValue& v : {str_value("string", "true"), u32_value("integer", 1),
                              array_value("array", 7, 1, raw(uint8_t{1}))}) {
      out.add(std::string(key) + "-" + v.name, F,
              [=] { return with(std::string("tokenizer.ggml.") + key, v); });
    }
  }
  out.add("add_space_prefix-true", U, [] {
    return with("tokenizer.ggml.add_space_prefix", {"", 7, raw(uint8_t{1})});
  });
  out.add("model-missing", U, [] { return base().without_kv("tokenizer.ggml.model").bytes(); });
  out.add("model-unheard-of", U,
          [] { return with("tokenizer.ggml.model", str_value("", "unheard-of")); });
  out.add("model-bad-utf8", F, [] { return with("tokenizer.ggml.model", str_value("", "\xFF")); });
  out.add("model-number", F, [] { return with("tokenizer.ggml.model", u32_value("", 1)); });
  out.add("pre-unheard-of", U,
          [] { return with("tokenizer.ggml.pre", str_value("", "unheard-of")); });
  out.add("pre-bad-utf8", F,
          [] { return with("tokenizer.ggml.pre", str_value("", "smollm\xC0")); });
  out.add("pre-number", F, [] { return with("tokenizer.ggml.pre", u32_value("", 1)); });
  for (const char* key : {"tokens", "token_type", "merges"}) {
    const std::string full = std::string("tokenizer.ggml.") + key;
    out.add(std::string(key) + "-missing", F, [=] { return base().without_kv(full).bytes(); });
    out.add(std::string(key) + "-string", F, [=] { return with(full, str_value("", "a b c")); });
    out.add(std::string(key) + "-number", F, [=] { return with(full, u32_value("", 260)); });
    out.add(std::string(key) + "-floats", F,
            [=] { return with(full, array_value("", 6, kVocab, Bytes(4 * kVocab))); });
    out.add(std::string(key) + "-doubles", F,
            [=] { return with(full, array_value("", 12, kVocab, Bytes(8 * kVocab))); });
  }
  for (const char* key : {"tokens", "merges"}) {
    const std::tuple<const char*, uint32_t, size_t> kNumbers[] = {
        {"u8", 0, 1}, {"u32", 4, 4}, {"i32", 5, 4}, {"u64", 10, 8}};
    for (const auto& [name, type, n] : kNumbers) {
      out.add(std::string(key) + "-of-" + name, F, [=, type = type, n = n] {
        return with(std::string("tokenizer.ggml.") + key,
                    array_value("", type, kVocab, Bytes(n * kVocab)));
      });
    }
  }
  out.add("tokens-none", F,
          [] { return with("tokenizer.ggml.tokens", array_value("", 8, 0, {})); });
  for (const size_t n : {size_t{1}, size_t{kVocab - 1}, size_t{kVocab + 1}}) {
    out.add("tokens-" + std::to_string(n), F, [n] {
      auto v = tokens();
      v.resize(n, "more");
      return with_tokens(v);
    });
    out.add("token_type-" + std::to_string(n), F, [n] {
      return base()
          .without_kv("tokenizer.ggml.token_type")
          .kv_arr_i32("tokenizer.ggml.token_type", std::vector<int32_t>(n, 1))
          .bytes();
    });
  }
  const std::pair<const char*, std::string> bad_tokens[] = {
      {"bad-utf8", "a\xFF"}, {"lone-tail", "\x80"}, {"overlong", "\xC0\x80"}, {"twice", "token7"}};
  for (const auto& [name, text] : bad_tokens) {
    out.add(std::string("token-") + name, F, [text = text] {
      auto v = tokens();
      v[200] = text;
      return with_tokens(v);
    });
  }
  out.add("tokens-10-million", F, [] {
    constexpr uint64_t n = 10'000'000;
    return base()
        .without_kv("llama.vocab_size")
        .without_kv("tokenizer.ggml.tokens")
        .kv_raw("tokenizer.ggml.tokens", 9, array_value("", 8, n, Bytes(8 * n)).payload)
        .bytes();
  });
  out.add("token-of-65537-bytes", F, [] {
    auto v = tokens();
    v[200] = std::string(65'537, 'x');
    return with_tokens(v);
  });
  for (const int32_t type : {0, 7, -1, 255, INT32_MAX, INT32_MIN}) {
    out.add("token_type-holds-" + std::to_string(type), F, [type] {
      std::vector<int32_t> v(kVocab, 1);
      v[100] = type;
      return base()
          .without_kv("tokenizer.ggml.token_type")
          .kv_arr_i32("tokenizer.ggml.token_type", v)
          .bytes();
    });
  }
  const std::pair<const char*, std::string> merges[] = {
      {"empty", ""},
      {"no-space", "ab"},
      {"two-spaces", "a b c"},
      {"double-space", "a  b"},
      {"only-a-space", " "},
      {"left-unknown", "qqqq b"},
      {"right-unknown", "a qqqq"},
      {"product-unknown", "a b"},
      {"leading-space", " a b"},
      {"bad-utf8", "a \xFF"},
      {"longer-than-any-token", std::string(500, 'a') + " " + std::string(500, 'b')}};
  for (const auto& [name, text] : merges) {
    out.add(std::string("merge-") + name, F, [text = text] {
      return base()
          .without_kv("tokenizer.ggml.merges")
          .kv_arr_str("tokenizer.ggml.merges", {text})
          .bytes();
    });
  }
  out.add("template-bad-utf8", F,
          [] { return with("tokenizer.chat_template", str_value("", "{{ '\xFF' }}")); });
  out.add("template-number", F, [] { return with("tokenizer.chat_template", u32_value("", 1)); });
  out.add("template-array", F, [] {
    return with("tokenizer.chat_template", array_value("", 8, 1, strings({"{{ 1 }}"})));
  });
}

}  // namespace

void add_bad_texts(BadFiles& out) {
  out.family("tokenizer/", BadFile::Use::kModel);
  add_tokenizers(out);
  add_sentence_piece(out);

  out.family("template/", BadFile::Use::kTemplate);
  const auto add = [&](const char* name, const std::string& text, reattn_status expected) {
    out.add(name, expected,
            [text] { return with("tokenizer.chat_template", str_value("", text)); });
  };
  const auto times = [](const std::string& s, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += s;
    return all;
  };
  add("block-not-closed", "{% for m in messages %}{{ m }}", F);
  add("expression-not-closed", "{{ messages", F);
  add("string-not-closed", "{{ 'messages }}", F);
  add("end-without-begin", "{% endfor %}", F);
  add("tag-unheard-of", "{% unheard_of %}", F);
  add("filter-unheard-of", "{{ messages | unheard_of }}", F);
  add("function-unheard-of", "{{ unheard_of(1) }}", F);
  add("division-by-zero", "{{ 1 // 0 }}", F);
  add("parentheses-10000", "{{ " + times("(", 10'000) + "1" + times(")", 10'000) + " }}", F);
  add("brackets-10000", "{{ " + times("[", 10'000) + times("]", 10'000) + " }}", F);
  add("ifs-5000", times("{% if 1 %}", 5'000) + times("{% endif %}", 5'000), F);
  add("macro-calling-itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", F);
  add("macros-calling-each-other",
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}", F);
  add("loop-of-a-billion", "{% for i in range(1000000000) %}{% endfor %}", F);
  add("loops-in-loops", times("{% for i in range(9999) %}", 4) + times("{% endfor %}", 4), F);
  add("output-of-a-gigabyte", "{% for i in range(30000) %}{{ 'x' * 40000 }}{% endfor %}", F);
  add("string-of-a-terabyte", "{{ 'x' * 1000000000000 }}", F);
  add("string-doubling",
      "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% "
      "endfor %}{{ ns.s }}",
      F);
  add("python-class", "{{ ''.__class__.__mro__[1].__subclasses__() }}", F);
  add("python-globals", "{{ cycler.__init__.__globals__.os.popen('id').read() }}", F);
  add("python-builtins",
      "{{ self.__init__.__globals__.__builtins__.__import__('os').system('id') }}", F);
  add("python-request", "{{ ().__class__.__base__.__subclasses__()[40]('/etc/passwd').read() }}",
      F);
  add("include", "{% include '/etc/passwd' %}", F);
  add("import", "{% import '/etc/passwd' as x %}", F);
  add("extends", "{% extends '/etc/passwd' %}", F);
  add("of-129-KiB", std::string(129 << 10, 'x'), F);
}

}  // namespace reattn::test
