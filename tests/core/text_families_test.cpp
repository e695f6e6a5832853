// Each family's tokenizer, from a GGUF file and from a Hugging Face folder, against Python's ids
// (make_tokenizers.py writes both).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/io/gguf.hpp"
#include "core/text/gguf_tokenizer.hpp"
#include "core/text/hf_tokenizer.hpp"
#include "core/text/utf8.hpp"
#include "text_fixture.hpp"

namespace reattn::text {
namespace {

using Ids = std::vector<int32_t>;

std::string data(const std::string& name) {
  return std::string(REATTN_TEST_DATA) + "/tokenizers/" + name;
}

struct Case {
  std::string text;
  std::map<std::string, Ids> ids;

  const Ids& plain(const std::string& family) const { return ids.at(family); }
  const Ids& special(const std::string& family) const {
    const auto found = ids.find(family + "+");
    return found == ids.end() ? plain(family) : found->second;
  }
};

std::vector<Case> read_cases() {
  std::ifstream in(data("ids.txt"));
  std::vector<Case> cases;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("text \"")) {
      cases.push_back({test::unescape(line.substr(6, line.size() - 7)), {}});
      continue;
    }
    std::istringstream fields(line);
    std::string kind;
    fields >> kind;
    Ids& ids = cases.back().ids[kind];
    for (int32_t id; fields >> id;) ids.push_back(id);
  }
  return cases;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string text_of(const Tokenizer& tokenizer, const Ids& ids) {
  std::string out;
  int32_t previous = -1;
  for (const int32_t id : ids) {
    out += tokenizer.bytes_after(previous, id);
    previous = id;
  }
  return out;
}

class TextFamily : public ::testing::TestWithParam<const char*> {
 protected:
  const std::string family = GetParam();
  const TokenizerSpec gguf = spec_from_gguf(io::Gguf::open(data(family + ".gguf")));
  const TokenizerSpec folder = spec_from_hf(read_hf_files(data(family)));
  const std::vector<Case> cases = read_cases();

  void expect_python_ids(const TokenizerSpec& spec) const {
    const auto tokenizer = Tokenizer::create(spec);
    ASSERT_GE(cases.size(), 80u);
    for (const Case& c : cases) {
      EXPECT_EQ(tokenizer->encode(c.text, false), c.plain(family)) << c.text;
      EXPECT_EQ(tokenizer->encode(c.text, true), c.special(family)) << c.text;
    }
  }
};

TEST_P(TextFamily, GgufIdsEqualPythons) {
  expect_python_ids(gguf);
}

TEST_P(TextFamily, FolderIdsEqualPythons) {
  expect_python_ids(folder);
}

TEST_P(TextFamily, GgufAndFolderDescribeOneTokenizer) {
  const auto a = Tokenizer::create(gguf), b = Tokenizer::create(folder);
  EXPECT_EQ(gguf.pre, folder.pre);
  EXPECT_EQ(gguf.whole_words_first, folder.whole_words_first);
  EXPECT_EQ(gguf.composes, folder.composes);
  EXPECT_EQ(gguf.space_prefix, folder.space_prefix);
  ASSERT_EQ(a->n_vocab(), b->n_vocab());
  EXPECT_EQ(a->bos(), b->bos());
  EXPECT_EQ(a->eos(), b->eos());
  EXPECT_EQ(a->unk(), b->unk());
  EXPECT_EQ(a->pad(), b->pad());
  EXPECT_EQ(a->add_bos(), b->add_bos());
  EXPECT_EQ(a->add_eos(), b->add_eos());
  for (int32_t id = 0; id < a->n_vocab(); ++id) {
    EXPECT_EQ(a->bytes(id), b->bytes(id)) << id;
    if (id == a->unk()) continue;  // a type of its own in GGUF, a control token in folders
    EXPECT_EQ(a->is_special(id), b->is_special(id)) << a->bytes(id);
  }
  EXPECT_EQ(folder.chat_template, "{{ messages[0].content }}");
}

TEST_P(TextFamily, DecodesWhatItEncoded) {
  for (const TokenizerSpec* spec : {&gguf, &folder}) {
    const auto tokenizer = Tokenizer::create(*spec);
    for (const Case& c : cases) {
      std::string text = c.text;
      if (spec->model == "llama") text = replaced(text, "\xE2\x96\x81", " ");
      const bool drops_a_space = spec->space_prefix == SpacePrefix::kFirst && text.starts_with(' ');
      if (drops_a_space) text.erase(0, 1);
      const Ids ids = tokenizer->encode(c.text, false);
      const std::string decoded = text_of(*tokenizer, ids);
      if (spec->composes) {
        EXPECT_EQ(tokenizer->encode(decoded, false), ids) << c.text;
      } else if (spec->strips.empty()) {
        EXPECT_EQ(decoded, text);
        EXPECT_EQ(text_of(*tokenizer, tokenizer->encode(c.text, true)), text);
      }

      Utf8Stream stream;
      std::string streamed;
      int32_t previous = -1;
      for (const int32_t id : ids) {
        const std::string piece = stream.push(tokenizer->bytes_after(previous, id));
        EXPECT_TRUE(check_utf8(piece).valid());
        streamed += piece;
        previous = id;
      }
      EXPECT_EQ(streamed + stream.finish(), decoded);
    }
  }
}

TEST_P(TextFamily, EndsOfGenerationAreTheFolders) {
  const std::map<std::string, std::vector<std::string>> ends = {
      {"llama3", {"<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"}},
      {"qwen2", {"<|endoftext|>", "<|im_end|>"}},
      {"smollm", {"<|endoftext|>", "<|im_end|>"}},
      {"llama2", {"</s>"}},
      {"mistral", {"</s>"}},
      {"phi3", {"</s>", "<|assistant|>", "<|endoftext|>", "<|end|>"}},
      {"internlm2", {"</s>", "<|im_end|>"}},
      {"gemma3", {"<end_of_turn>", "<eos>"}},
  };
  const auto tokenizer = Tokenizer::create(folder);
  std::vector<std::string> found;
  for (int32_t id = 0; id < tokenizer->n_vocab(); ++id) {
    if (tokenizer->is_end_of_generation(id)) found.emplace_back(tokenizer->bytes(id));
  }
  std::ranges::sort(found);
  EXPECT_EQ(found, ends.at(family));
}

// Folders of old have SentencePiece's own file alone.
class SentencePieceFamily : public TextFamily {};

TEST_P(SentencePieceFamily, TokenizerModelSaysWhatTheGgufFileSays) {
  const TokenizerSpec model = spec_from_hf(read_hf_files(data(family + "_model")));
  EXPECT_EQ(model.space_prefix, gguf.space_prefix);
  EXPECT_EQ(model.bos, gguf.bos);
  EXPECT_EQ(model.eos, gguf.eos);
  EXPECT_EQ(model.add_bos, gguf.add_bos);
  expect_python_ids(model);
}

INSTANTIATE_TEST_SUITE_P(All, TextFamily,
                         ::testing::Values("llama3", "qwen2", "smollm", "llama2", "mistral", "phi3",
                                           "internlm2", "gemma3"),
                         [](const auto& param) { return std::string(param.param); });
INSTANTIATE_TEST_SUITE_P(All, SentencePieceFamily, ::testing::Values("internlm2", "gemma3"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace reattn::text
