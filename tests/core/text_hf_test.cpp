// Hugging Face folders: what is read of them, pipelines that are refused, files that lie.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/text/hf_tokenizer.hpp"
#include "expect_error.hpp"
#include "text_fixture.hpp"

namespace reattn::text {
namespace {

using test::expect_error;

HfFiles folder(const std::string& family) {
  return read_hf_files(std::string(REATTN_TEST_DATA) + "/tokenizers/" + family);
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return at == text.npos ? text : text.replace(at, from.size(), to);
}

// The smallest folder there can be: one merge, one control token.
HfFiles small(std::string_view model_members = "", std::string_view file_members = "") {
  HfFiles files;
  files.tokenizer =
      R"({"added_tokens":[{"id":3,"content":"<s>","special":true}],)" + std::string(file_members) +
      R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)"
      R"("model":{)" +
      std::string(model_members) + R"("vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
  return files;
}

int32_t id_of(const TokenizerSpec& spec, std::string_view token) {
  return static_cast<int32_t>(std::ranges::find(spec.tokens, token) - spec.tokens.begin());
}

TEST(HfFolder, NeedsTokenizerJsonOnly) {
  const TokenizerSpec spec = spec_from_hf(small());
  EXPECT_EQ(spec.model, "gpt2");
  EXPECT_EQ(spec.pre, "gpt-2");
  EXPECT_EQ(spec.tokens, (std::vector<std::string>{"a", "b", "ab", "<s>"}));
  EXPECT_EQ(spec.token_types, (std::vector<int32_t>{1, 1, 1, 3}));
  EXPECT_EQ(spec.merges, std::vector<std::string>{"a b"});
  EXPECT_EQ(spec.bos, -1);
  EXPECT_EQ(spec.eos, -1);
  EXPECT_FALSE(spec.add_bos);
  EXPECT_EQ(spec.chat_template, "");
  EXPECT_EQ(Tokenizer::create(spec)->encode("aba<s>", true), (std::vector<int32_t>{2, 0, 3}));
}

TEST(HfFolder, TheVocabularyIsAsLongAsTheModelsOutput) {
  const TokenizerSpec longer = spec_from_hf(small(), 7);
  EXPECT_EQ(longer.tokens.size(), 7u);
  EXPECT_EQ(longer.token_types[6], 5);
  EXPECT_EQ(Tokenizer::create(longer)->n_vocab(), 7);
  EXPECT_EQ(spec_from_hf(small(), 3).tokens.size(), 3u);  // an added token without an output
  expect_error(ErrorCode::kFormat, {"tokenizer.json", "id 2", "ends at 2"},
               [] { spec_from_hf(small(), 2); });
}

TEST(HfFolder, BosComesFromThePostProcessorUnlessTheConfigSaysSo) {
  HfFiles files = folder("llama3");
  EXPECT_TRUE(spec_from_hf(files).add_bos);
  files.tokenizer_config = R"({"bos_token":"<|begin_of_text|>","add_bos_token":false})";
  EXPECT_FALSE(spec_from_hf(files).add_bos);
  files.tokenizer_config = R"({"bos_token":{"content":"<|end_of_text|>"}})";
  EXPECT_FALSE(spec_from_hf(files).add_bos);
  EXPECT_FALSE(spec_from_hf(folder("qwen2")).add_bos);
}

TEST(HfFolder, IdsComeFromTheGenerationConfigWhereTheTokenizerHasNone) {
  HfFiles files = small();
  files.generation_config = R"({"bos_token_id":3,"eos_token_id":[1,2]})";
  const TokenizerSpec spec = spec_from_hf(files);
  EXPECT_EQ(spec.bos, 3);
  EXPECT_EQ(spec.eos, 1);
  EXPECT_EQ(spec.end_ids, (std::vector<int32_t>{1, 2}));
  const auto tokenizer = Tokenizer::create(spec);
  EXPECT_TRUE(tokenizer->is_end_of_generation(2));
  EXPECT_FALSE(tokenizer->is_end_of_generation(0));
}

TEST(HfFolder, ReadsEachFormOfTheChatTemplate) {
  HfFiles files = small();
  files.tokenizer_config = R"({"chat_template":"one"})";
  EXPECT_EQ(spec_from_hf(files).chat_template, "one");
  files.tokenizer_config =
      R"({"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]})";
  EXPECT_EQ(spec_from_hf(files).chat_template, "d");
  files.chat_template = "from the file";
  EXPECT_EQ(spec_from_hf(files).chat_template, "from the file");
  files.chat_template = "\xFF";
  expect_error(ErrorCode::kFormat, {"chat_template.jinja", "byte 0"}, [&] { spec_from_hf(files); });
}

TEST(HfFolder, SplitsAndPrefixesAsItsStepsSay) {
  const std::pair<const char*, SpacePrefix> schemes[] = {
      {"never", SpacePrefix::kNone},
      {"first", SpacePrefix::kFirst},
      {"always", SpacePrefix::kEachUnlessSpace},
  };
  for (const auto& [name, prefix] : schemes) {
    HfFiles files = folder("mistral");
    files.tokenizer = replaced(files.tokenizer, R"("prepend_scheme":"first")",
                               R"("prepend_scheme":")" + std::string(name) + '"');
    EXPECT_EQ(spec_from_hf(files).space_prefix, prefix) << name;
  }
  const TokenizerSpec phi3 = spec_from_hf(folder("phi3"));
  EXPECT_EQ(phi3.strips.at(static_cast<size_t>(id_of(phi3, "<|user|>"))),
            TokenizerSpec::kStripRight);
  EXPECT_EQ(phi3.strips.at(static_cast<size_t>(id_of(phi3, "<s>"))), 0);
}

TEST(HfFolder, RefusesPipelinesItDoesNotHave) {
  struct Row {
    const char *family, *from, *to, *fragment;
  };
  const Row all[] = {
      {"llama2", R"("type":"BPE")", R"("type":"Unigram")", "model.type is 'Unigram'"},
      {"llama2", R"("type":"BPE")", R"("type":"WordPiece")", "WordPiece"},
      {"llama2", R"("type":"Prepend","prepend":"▁")", R"("type":"Precompiled")",
       "precompiled_charsmap"},
      {"llama2", R"("type":"Prepend")", R"("type":"Lowercase")", "normalizer 'Lowercase'"},
      {"llama2", R"("prepend":"▁")", R"("prepend":"x")", "normalizer 'Prepend'"},
      {"llama2", R"("byte_fallback":true)", R"("byte_fallback":false)", "byte_fallback"},
      {"llama2", R"("dropout":null)", R"("dropout":0.5)", "dropout"},
      {"llama2", R"("end_of_word_suffix":null)", R"("end_of_word_suffix":"</w>")",
       "end_of_word_suffix"},
      {"llama2", R"("continuing_subword_prefix":null)", R"("continuing_subword_prefix":"##")",
       "continuing_subword_prefix"},
      {"llama2", R"("ignore_merges":false)", R"("ignore_merges":true)", "ignore_merges"},
      {"llama2", R"("single_word":false)", R"("single_word":true)", "'<unk>' with single_word"},
      {"llama2", R"("post_processor":null)", R"("post_processor":{"type":"RobertaProcessing"})",
       "RobertaProcessing"},
      {"mistral", R"("split":false)", R"("split":true)", "Metaspace with split"},
      {"mistral", R"("replacement":"▁")", R"("replacement":"_")", "replacement"},
      {"mistral", R"("type":"Metaspace")", R"("type":"Whitespace")", "'Whitespace'"},
      {"gemma3", R"("MergedWithPrevious")", R"("Removed")", "Split"},
      {"qwen2", R"(\\p{N}|)", R"(\\p{N}{1,4}|)", "Split at '"},
      {"qwen2", R"("Isolated")", R"("Removed")", "Isolated"},
      {"qwen2", R"("type":"NFC")", R"("type":"NFKC")", "'NFKC'"},
      {"qwen2", R"("add_prefix_space":false)", R"("add_prefix_space":true)", "add_prefix_space"},
      {"qwen2", R"("use_regex":false)", R"("use_regex":true)", "behind [Split]"},
      {"smollm", R"("individual_digits":true)", R"("individual_digits":false)", "[Digits]"},
  };
  for (const Row& row : all) {
    HfFiles files = folder(row.family);
    files.tokenizer = replaced(files.tokenizer, row.from, row.to);
    expect_error(ErrorCode::kUnsupported, {"tokenizer.json", row.fragment},
                 [&] { spec_from_hf(files); });
  }
}

TEST(HfFolder, RefusesFilesThatLie) {
  struct Row {
    std::string HfFiles::*file;
    std::string content;
    const char* fragment;
  };
  const std::string good = small().tokenizer;
  const auto changed = [&](std::string_view from, std::string_view to) {
    return replaced(good, from, to);
  };
  const Row all[] = {
      {&HfFiles::tokenizer, "", "tokenizer.json"},
      {&HfFiles::tokenizer, "{", "tokenizer.json"},
      {&HfFiles::tokenizer, "[]", "tokenizer.json"},
      {&HfFiles::tokenizer, "{}", "model"},
      {&HfFiles::tokenizer, good.substr(0, good.size() - 1), "EOF"},
      {&HfFiles::tokenizer, good + "x", "trailing"},
      {&HfFiles::tokenizer, changed("\"a\":0", "\"\xFF\":0"), "tokenizer.json"},
      {&HfFiles::tokenizer, changed(R"({"a":0,"b":1,"ab":2})", "{}"), "model.vocab is empty"},
      {&HfFiles::tokenizer, changed(R"({"a":0,"b":1,"ab":2})", "[]"), "model.vocab is empty"},
      {&HfFiles::tokenizer, changed(R"({"a":0,"b":1,"ab":2})", "7"), "a map"},
      {&HfFiles::tokenizer, changed("\"a\":0", "\"a\":-1"), "-1"},
      {&HfFiles::tokenizer, changed("\"a\":0", "\"a\":1"), "both have id 1"},
      {&HfFiles::tokenizer, changed("\"id\":3", "\"id\":2"), "both have id 2"},
      {&HfFiles::tokenizer, changed("\"id\":3", "\"id\":100000"), "only 4 tokens"},
      {&HfFiles::tokenizer, changed("[\"a b\"]", "[[\"a\"]]"), "merge"},
      {&HfFiles::tokenizer, changed("[\"a b\"]", "[[\"a\",\"b\",\"c\"]]"), "merge"},
      {&HfFiles::tokenizer, changed("[\"a b\"]", "[7]"), "merge"},
      {&HfFiles::tokenizer, std::string(100'000, '['), "tokenizer.json"},
      {&HfFiles::tokenizer_config, "[", "tokenizer_config.json"},
      {&HfFiles::tokenizer_config, R"({"bos_token":"<x>"})", "bos_token is '<x>'"},
      {&HfFiles::tokenizer_config, R"({"eos_token":7})", "tokenizer_config.json"},
      {&HfFiles::tokenizer_config, R"({"chat_template":7})", "tokenizer_config.json"},
      {&HfFiles::generation_config, "{", "generation_config.json"},
      {&HfFiles::generation_config, R"({"eos_token_id":4})", "eos_token_id is 4"},
      {&HfFiles::generation_config, R"({"eos_token_id":[2,-1]})", "eos_token_id is -1"},
      {&HfFiles::generation_config, R"({"bos_token_id":4})", "bos_token_id is 4"},
  };
  for (const Row& row : all) {
    HfFiles files = small();
    files.*row.file = row.content;
    expect_error(ErrorCode::kFormat, {row.fragment}, [&] { spec_from_hf(files); });
  }
  // Merges are checked where they are used.
  HfFiles merge = small();
  merge.tokenizer = changed("a b", "a q");
  expect_error(ErrorCode::kFormat, {"tokenizer.json: merges[0]", "'q'"},
               [&] { Tokenizer::create(spec_from_hf(merge)); });
}

// Fields of a protocol buffer.
std::string field(int number, const std::string& bytes) {
  EXPECT_LT(bytes.size(), 128u);
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string field(int number, int value) {
  return number < 16 ? std::string{static_cast<char>(number << 3), static_cast<char>(value)}
                     : std::string{static_cast<char>((number & 15) << 3 | 0x80),
                                   static_cast<char>(number >> 4), static_cast<char>(value)};
}

TEST(HfFolder, ReadsSentencePiecesFile) {
  const std::string bpe = field(2, field(3, 2)), plain = field(3, field(4, 0));
  const std::string piece = field(1, field(1, std::string("<s>")) + field(3, 3));
  HfFiles files;
  files.tokenizer_model = piece + piece + bpe + plain;
  files.tokenizer_config =
      R"({"bos_token":"<s>","added_tokens_decoder":{"1":{"content":"<t>","rstrip":true},)"
      R"("3":{"content":"<u>","special":true}}})";
  const TokenizerSpec spec = spec_from_hf(files);
  EXPECT_EQ(spec.model, "llama");
  EXPECT_EQ(spec.tokens, (std::vector<std::string>{"<s>", "<t>", "", "<u>"}));
  EXPECT_EQ(spec.token_types, (std::vector<int32_t>{3, 4, 5, 3}));
  EXPECT_EQ(spec.strips, (std::vector<uint8_t>{0, TokenizerSpec::kStripRight, 0, 0}));
  EXPECT_EQ(spec.scores.size(), 4u);
  EXPECT_EQ(spec.space_prefix, SpacePrefix::kEach);
  EXPECT_TRUE(spec.add_bos);
  EXPECT_EQ(spec_from_hf(files, 9).tokens.size(), 9u);
  expect_error(ErrorCode::kUnsupported, {"tokenizer.model: ", "byte token"},
               [&] { Tokenizer::create(spec); });

  struct Row {
    ErrorCode code;
    std::string content;
    const char* fragment;
  };
  const Row all[] = {
      {ErrorCode::kFormat, bpe + plain, "no pieces"},
      {ErrorCode::kFormat, piece.substr(0, 4), "a field of"},
      {ErrorCode::kFormat, piece + std::string(11, '\x80'), "ten bytes"},
      {ErrorCode::kFormat, piece + "\x0B", "wire type 3"},
      {ErrorCode::kFormat, piece + "\x09", "a field of 8 bytes"},
      {ErrorCode::kFormat, field(1, field(1, std::string("\xFF"))) + bpe + plain,
       "pieces[0] is not UTF-8"},
      {ErrorCode::kUnsupported, piece + plain, "UNIGRAM"},
      {ErrorCode::kUnsupported, piece + field(2, field(3, 4)) + plain, "CHAR"},
      {ErrorCode::kUnsupported, piece + field(2, field(3, 2) + field(24, 1)) + plain, "suffix"},
      {ErrorCode::kUnsupported, piece + bpe, "remove_extra_whitespaces"},
      {ErrorCode::kUnsupported, piece + bpe + field(3, field(4, 0) + field(2, std::string("x"))),
       "precompiled_charsmap"},
      {ErrorCode::kUnsupported, piece + bpe + field(3, field(4, 0) + field(5, 0)),
       "escape_whitespaces"},
  };
  for (const Row& row : all) {
    files.tokenizer_model = row.content;
    expect_error(row.code, {"tokenizer.model", row.fragment}, [&] { spec_from_hf(files); });
  }
}

TEST(HfFolder, LargeFilesAndMissingOnesAreNamed) {
  const auto at =
      std::filesystem::temp_directory_path() / ("reattn_" + std::to_string(::getpid()) + "_hf");
  struct Remove {
    std::filesystem::path path;
    ~Remove() { std::filesystem::remove_all(path); }
  } remove{at};
  std::filesystem::create_directory(at);
  expect_error(ErrorCode::kIo, {"tokenizer.json"}, [&] { read_hf_files(at.string()); });
  std::ofstream(at / "tokenizer.json") << small().tokenizer;
  EXPECT_EQ(spec_from_hf(read_hf_files(at.string())).tokens.size(), 4u);
  std::ofstream(at / "chat_template.jinja") << "{{ 1 }}";
  EXPECT_EQ(spec_from_hf(read_hf_files(at.string())).chat_template, "{{ 1 }}");
  std::filesystem::resize_file(at / "chat_template.jinja", (4u << 20) + 1);
  expect_error(ErrorCode::kUnsupported, {"chat_template.jinja", "4194305"},
               [&] { read_hf_files(at.string()); });
  std::filesystem::remove(at / "chat_template.jinja");
  std::filesystem::resize_file(at / "tokenizer.json", (128u << 20) + 1);
  expect_error(ErrorCode::kUnsupported, {"tokenizer.json", "134217729"},
               [&] { read_hf_files(at.string()); });
}

}  // namespace
}  // namespace reattn::text
