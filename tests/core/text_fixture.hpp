// Reads the tokenizer tests' data (tools/make_text_fixtures.py writes it).
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "core/text/tokenizer.hpp"

namespace reattn::test {

struct TextCase {
  std::string text;
  std::vector<int32_t> smollm, smollm_special, gpt2;
};

inline std::ifstream open_text_data(const std::string& name) {
  std::ifstream in(std::string(REATTN_TEST_TEXT_DATA) + "/" + name);
  EXPECT_TRUE(in.is_open()) << name;
  return in;
}

inline void append_utf8(std::string& out, uint32_t c) {
  const auto tail = [&](int shift) {
    out.push_back(static_cast<char>(0x80 | (c >> shift & 0x3F)));
  };
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | c >> 12));
    tail(6), tail(0);
  } else {
    out.push_back(static_cast<char>(0xF0 | c >> 18));
    tail(12), tail(6), tail(0);
  }
}

// Undoes \\ and \u{hex}.
inline std::string unescape(const std::string& s) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\') {
      out.push_back(s[i]);
    } else if (s[++i] == '\\') {
      out.push_back('\\');
    } else {
      const size_t end = s.find('}', i);
      append_utf8(out,
                  static_cast<uint32_t>(std::stoul(s.substr(i + 2, end - i - 2), nullptr, 16)));
      i = end;
    }
  }
  return out;
}

inline std::vector<TextCase> read_text_cases(const std::string& name) {
  std::ifstream in = open_text_data(name);
  std::vector<TextCase> cases;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("text \"")) {
      cases.push_back({unescape(line.substr(6, line.size() - 7)), {}, {}, {}});
      continue;
    }
    std::istringstream fields(line);
    std::string kind;
    fields >> kind;
    TextCase& c = cases.back();
    auto& ids = kind == "smollm" ? c.smollm : kind == "gpt-2" ? c.gpt2 : c.smollm_special;
    for (int32_t id; fields >> id;) ids.push_back(id);
  }
  return cases;
}

constexpr const char* kSmolLmTemplate =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

// The small vocabulary as a GGUF file would give it.
inline text::TokenizerSpec small_spec() {
  text::TokenizerSpec spec;
  spec.model = "gpt2";
  spec.pre = "smollm";
  std::ifstream in = open_text_data("small_vocab.txt");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("merge ")) {
      spec.merges.push_back(line.substr(6));
    } else {
      spec.token_types.push_back(line[6] - '0');
      spec.tokens.push_back(line.substr(8));
    }
  }
  spec.bos = 1;
  spec.eos = 2;
  spec.unk = 0;
  spec.chat_template = kSmolLmTemplate;
  return spec;
}

}  // namespace reattn::test
