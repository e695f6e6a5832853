// Models opened as folders: what they say, and that they read, answer and are saved as files are.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "tests/capi/api.hpp"
#include "tests/support/safetensors_builder.hpp"

namespace reattn::test {
namespace {

// Written once.
const std::string& folder() {
  static const std::string path = [] {
    std::string p = directory().file("a-folder");
    write_files(p, TinyFolder{.n_vocab = 300}.files());
    return p;
  }();
  return path;
}

std::map<std::string, std::string> metadata(const reattn_model* model) {
  auto info = sized<reattn_model_info>();
  EXPECT_OK(call(reattn_model_get_info, model, &info));
  std::map<std::string, std::string> out;
  for (int64_t i = 0; i < info.n_metadata; ++i) {
    std::string key(256, '\0'), value(256, '\0');
    uint64_t n_key = 0, n_value = 0;
    EXPECT_OK(call(reattn_model_metadata, model, i, reinterpret_cast<uint8_t*>(key.data()),
                   key.size(), &n_key, reinterpret_cast<uint8_t*>(value.data()), value.size(),
                   &n_value));
    out.emplace(key.substr(0, n_key), value.substr(0, n_value));
  }
  return out;
}

Result open_and_wait(const std::string& path) {
  reattn_model* model = nullptr;
  Result r = call(reattn_model_open, bytes(path), path.size(), nullptr, &model);
  const Model owned(model);
  return r.status == REATTN_OK ? call(reattn_model_wait, model, int64_t{-1}, nullptr) : r;
}

TEST(Folder, SaysWhatItsConfigSays) {
  for (const int32_t header_only : {0, 1}) {
    const Model model = open_model(folder(), 1, header_only);
    auto info = sized<reattn_model_info>();
    ASSERT_OK(call(reattn_model_get_info, model.get(), &info));
    EXPECT_EQ(info.n_layers, 1);
    EXPECT_EQ(info.n_embd, 32);
    EXPECT_EQ(info.n_vocab, 300);
    EXPECT_EQ(info.n_window, 512);
    EXPECT_EQ(info.eos_token, header_only ? -1 : kTinyImEnd);
    const auto found = metadata(model.get());
    EXPECT_EQ(found.at("general.architecture"), "llama");
    EXPECT_EQ(found.at("general.name"), "a-folder");
    EXPECT_EQ(found.at("architectures"), R"(["LlamaForCausalLM"])");
    EXPECT_EQ(found.at("hidden_size"), "32");
  }
}

TEST(Folder, HasTheTokensOfTheSameTokenizerInAFile) {
  const Model model = open_model(folder());
  const Session in_folder = new_session(model.get());
  const Model file = open_model(model_path());
  const Session in_file = new_session(file.get());
  append(in_folder.get(), document(300));
  append(in_file.get(), document(300));
  EXPECT_EQ(tokens(in_folder.get()), tokens(in_file.get()));
}

TEST(Folder, AnswersAndIsSavedAsAFileIs) {
  const Model model = open_model(folder());
  const Session s = new_session(model.get());
  append(s.get(), document(300));
  const Answer answer = ask(s.get(), 8);
  EXPECT_FALSE(answer.tokens.empty());
  reattn_cache* cache = nullptr;
  ASSERT_OK(call(reattn_cache_snapshot, s.get(), &cache));
  const Cache owned(cache);
  const std::string path = directory().file("folder.reattn");
  ASSERT_OK(call(reattn_cache_save, cache, bytes(path), path.size()));
  reattn_cache* opened = nullptr;
  ASSERT_OK(call(reattn_cache_open, model.get(), bytes(path), path.size(), &opened));
  const Cache also_owned(opened);
  const Model file = open_model(model_path());
  reattn_cache* other = nullptr;
  EXPECT_FAILS(REATTN_E_MISMATCH, "",
               call(reattn_cache_open, file.get(), bytes(path), path.size(), &other));
}

// As models have it whose matrices are padded: tokens that no text gives.
TEST(Folder, MayHaveMoreOutputsThanTokens) {
  auto files = TinyFolder{.n_vocab = 300}.files();
  files["tokenizer.json"] = TinyFolder{.n_vocab = 280}.files()["tokenizer.json"];
  const std::string path = directory().file("padded");
  write_files(path, files);
  const Model model = open_model(path);
  auto info = sized<reattn_model_info>();
  ASSERT_OK(call(reattn_model_get_info, model.get(), &info));
  EXPECT_EQ(info.n_vocab, 300);
}

std::vector<std::byte> contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_FALSE(text.empty()) << path;
  const auto all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

std::string token_text(const reattn_model* model, int32_t id) {
  std::string out(64, '\0');
  uint64_t n = 0;
  EXPECT_OK(call(reattn_text_detokenize, model, &id, uint64_t{1},
                 reinterpret_cast<uint8_t*>(out.data()), out.size(), &n));
  return out.substr(0, n);
}

// SentencePiece puts a space in front of what follows a special token, and an answer is without it.
TEST(Folder, AnswersWithoutTheSpaceThatSentencePiecePutsInFront) {
  auto files = TinyFolder{.n_vocab = 700}.files();  // its logits are all equal
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    files[name] = contents(std::string(REATTN_TEST_DATA) + "/tokenizers/phi3/" + name);
  }
  const std::string path = directory().file("sentence-piece");
  write_files(path, files);
  const Model model = open_model(path);
  for (const std::string_view read : {"Hello<|assistant|>", "Hello there"}) {
    const Session s = new_session(model.get());
    append(s.get(), read, REATTN_APPEND_SPECIAL);
    ask(s.get(), 0);
    int n_checked = 0;
    for (uint64_t seed = 0; seed < 128; ++seed) {
      auto options = sized<reattn_request_options>();
      ASSERT_OK(call(reattn_request_options_init, &options, sizeof options));
      options.max_tokens = 1;
      options.temperature = 1;
      options.seed = seed;
      const Session forked = fork(s.get());
      reattn_request* request = nullptr;
      ASSERT_OK(call(reattn_request_create, forked.get(), &options, &request));
      const Request owned(request);
      const Answer answer = drain(request);
      if (answer.tokens.empty()) continue;
      const std::string token = token_text(model.get(), answer.tokens[0]);
      if (token.size() < 2 || token[0] != ' ') continue;
      ++n_checked;
      EXPECT_EQ(answer.text, read.ends_with('>') ? token.substr(1) : token);
    }
    EXPECT_GT(n_checked, 2);
  }
}

TEST(Folder, IsNamedByItsPathAlone) {
  EXPECT_OK(open_and_wait(folder() + "/"));
  for (const char* part : {"/config.json", "/model.safetensors"}) {
    EXPECT_FAILS(REATTN_E_UNSUPPORTED, "open the folder", open_and_wait(folder() + part));
  }
  EXPECT_FAILS(REATTN_E_IO, "none.safetensors", open_and_wait(folder() + "/none.safetensors"));
}

}  // namespace
}  // namespace reattn::test
