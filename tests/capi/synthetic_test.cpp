// Made-up models: any shape, the same numbers for the same seed, and clear refusals.
#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

reattn_geometry small() {
  auto g = sized<reattn_geometry>();
  g.n_layers = 2;
  g.n_embd = 64;
  g.n_heads = 4;
  g.n_kv_heads = 2;
  g.head_dim = 16;
  g.n_ff = 96;
  g.n_vocab = 300;
  g.n_window = 512;
  g.rope_freq_base = 10000;
  g.seed = 7;
  return g;
}

// What a model of this shape answers, greedily, to a few ids.
std::vector<int32_t> answer(const reattn_geometry& geometry) {
  reattn_model* handle = nullptr;
  EXPECT_OK(call(reattn_model_synthesize, &geometry, nullptr, &handle));
  const Model model(handle);
  auto progress = sized<reattn_load_progress>();
  EXPECT_OK(call(reattn_model_wait, model.get(), int64_t{-1}, &progress));
  EXPECT_EQ(progress.bytes_done, progress.bytes_total);
  auto info = sized<reattn_model_info>();
  EXPECT_OK(call(reattn_model_get_info, model.get(), &info));
  EXPECT_EQ(info.n_ff, geometry.n_ff);
  EXPECT_EQ(info.weights_bytes,
            2u * (2 * 300 * 64 + 2 * 64 * (2 * 64 + 2 * 32 + 3 * 96)) + 4u * 5 * 64);
  reattn_session* session = nullptr;
  EXPECT_OK(call(reattn_session_create, model.get(), nullptr, nullptr, &session));
  const Session owned(session);
  const int32_t ids[] = {5, 17, 299, 0};
  EXPECT_OK(call(reattn_session_append_ids, session, ids, uint64_t{4}, uint32_t{0}));
  return ask(session, 8).tokens;
}

TEST(Synthetic, AnswersAlikeForTheSameSeed) {
  reattn_geometry g = small();
  const auto first = answer(g);
  EXPECT_EQ(first.size(), 8u);
  EXPECT_EQ(answer(g), first);
  g.seed = 8;
  EXPECT_NE(answer(g), first);
}

TEST(Synthetic, RefusesShapesNoModelHas) {
  const auto refused = [](auto change, const char* fragment) {
    reattn_geometry g = small();
    change(g);
    reattn_model* model = nullptr;
    EXPECT_FAILS(REATTN_E_ARG, fragment, call(reattn_model_synthesize, &g, nullptr, &model));
    EXPECT_EQ(model, nullptr);
  };
  refused([](auto& g) { g.n_layers = 0; }, "n_layers is 0");
  refused([](auto& g) { g.n_embd = int64_t{1} << 62; }, "n_embd is");
  refused([](auto& g) { g.n_kv_heads = 3; }, "not a multiple");
  refused([](auto& g) { g.head_dim = 15; }, "head_dim is 15");
  refused([](auto& g) { g.n_vocab = -1; }, "n_vocab is -1");
  refused([](auto& g) { g.rope_freq_base = 0; }, "rope_freq_base");
  refused([](auto& g) { g.tied_embeddings = 2; }, "tied_embeddings");
}

TEST(Synthetic, WeightsInFp8) {
  const reattn_geometry g = small();
  reattn_model_options o;
  EXPECT_OK(call(reattn_model_options_init, &o, sizeof o));
  o.device = REATTN_DEVICE_CPU;
  o.weights = REATTN_WEIGHTS_FP8;
  reattn_model* model = nullptr;
  EXPECT_FAILS(REATTN_E_UNSUPPORTED, "weights is fp8",
               call(reattn_model_synthesize, &g, &o, &model));
  EXPECT_EQ(model, nullptr);
  if (test_device() == REATTN_DEVICE_CPU) return;
  o.device = test_device();
  EXPECT_OK(call(reattn_model_synthesize, &g, &o, &model));
  const Model owned(model);
  EXPECT_OK(call(reattn_model_wait, model, int64_t{-1}, nullptr));
  auto info = sized<reattn_model_info>();
  EXPECT_OK(call(reattn_model_get_info, model, &info));
  EXPECT_EQ(info.weights, REATTN_WEIGHTS_FP8);
  EXPECT_EQ(info.weights_bytes, 2u * 2 * 300 * 64 + 2 * (64 * (2 * 64 + 2 * 32 + 3 * 96)) +
                                    4u * 2 * (3 * 64 + 2 * 32 + 2 * 96) + 4u * 5 * 64);
  reattn_session* session = nullptr;
  EXPECT_OK(call(reattn_session_create, model, nullptr, nullptr, &session));
  const Session s(session);
  const int32_t ids[] = {5, 17, 299, 0};
  EXPECT_OK(call(reattn_session_append_ids, session, ids, uint64_t{4}, uint32_t{0}));
  EXPECT_EQ(ask(session, 8).tokens.size(), 8u);
}

TEST(Synthetic, SaysWhenMemoryCannotHoldIt) {
  reattn_geometry g = small();
  g.n_layers = 1024;
  g.n_embd = g.n_ff = 1 << 20;
  reattn_model* model = nullptr;
  EXPECT_OK(call(reattn_model_synthesize, &g, nullptr, &model));
  const Result r = call(reattn_model_wait, model, int64_t{-1}, nullptr);
  EXPECT_TRUE(r.status == REATTN_E_OOM_HOST || r.status == REATTN_E_OOM_DEVICE) << r;
  reattn_model_free(model);
}

}  // namespace
}  // namespace reattn::test
