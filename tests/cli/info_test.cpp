// reattn info.
#include "tests/cli/fixture.hpp"

namespace reattn::test {
namespace {

using Json = nlohmann::json;

class Info : public Command {
 protected:
  static Json info(std::vector<std::string> options) {
    options.insert(options.begin(), {"info", model(), "--json"});
    return Json::parse(succeed(options));
  }
};

TEST_F(Info, HyperParameters) {
  const Json model = info({})["model"];
  EXPECT_EQ(model["architecture"], "llama");
  EXPECT_EQ(model["n_layers"], 2);
  EXPECT_EQ(model["n_embd"], 64);
  EXPECT_EQ(model["n_heads"], 4);
  EXPECT_EQ(model["n_kv_heads"], 2);
  EXPECT_EQ(model["head_dim"], 16);
  EXPECT_EQ(model["n_ff"], 96);
  EXPECT_EQ(model["n_vocab"], 300);
  EXPECT_EQ(model["n_window"], 512);
}

TEST_F(Info, PresetsFillThreeEighthsOfTheWindow) {
  const Json exact = info({})["method"];
  EXPECT_EQ(exact["n_local"], 64);
  EXPECT_EQ(exact["chunk"], 64);
  EXPECT_EQ(exact["vote_stride"], 1);
  EXPECT_EQ(exact["scope"], 192);
  const Json fast = info({"--preset", "fast"})["method"];
  EXPECT_EQ(fast["vote_stride"], 4);
  EXPECT_EQ(fast["n_anchors"], exact["n_anchors"]);
}

TEST_F(Info, OptionsReplaceThePreset) {
  const Json method = info({"--n-local", "48", "--n-anchors", "5", "--span", "8", "--recall-top-k",
                            "2", "--selection", "block1", "--kv", "f32", "--n-global", "7",
                            "--preset", "fast", "--vote-stride", "3"})["method"];
  const Json expected = {{"selection", "block1"},
                         {"n_global", 7},
                         {"n_local", 48},
                         {"n_anchors", 5},
                         {"span", 8},
                         {"top_k", 2},
                         {"vote_stride", 3},
                         {"chunk", 48},
                         {"kv", "f32"},
                         {"scoring", "native"},
                         {"scope", 7 + 5 * 8 + 48}};
  EXPECT_EQ(method, expected);
}

TEST_F(Info, MemoryPlan) {
  const Json half = info({"--tokens", "512", "--kv", "f16"})["memory"];
  const Json whole = info({"--tokens", "512", "--kv", "f32"})["memory"];
  // 2 layers, keys and values, 2 KV heads of 16 values, one page of 512 tokens.
  EXPECT_EQ(half["kv_bytes"], 2 * 2 * 2 * 16 * 512 * 2);
  EXPECT_EQ(whole["kv_bytes"], 2 * 2 * 2 * 16 * 512 * 4);
  EXPECT_EQ(whole["total_bytes"].get<int64_t>(), whole["weights_bytes"].get<int64_t>() +
                                                     whole["kv_bytes"].get<int64_t>() +
                                                     whole["working_bytes"].get<int64_t>());
  EXPECT_EQ(whole["fits"], true);
  EXPECT_EQ(info({"--tokens", "2000000000"})["memory"]["fits"], false);
}

TEST_F(Info, ForPeople) {
  const std::string text = succeed({"info", model()});
  EXPECT_NE(text.find("n_window"), std::string::npos);
  EXPECT_NE(text.find("32,768"), std::string::npos);
  EXPECT_NE(text.find(" MiB"), std::string::npos);
}

}  // namespace
}  // namespace reattn::test
