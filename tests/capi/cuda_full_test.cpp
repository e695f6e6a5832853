// A GPU filled until nothing more fits, again and again: each refusal is an error, and what was there before goes on with the same
// tokens. Runs with REATTN_TEST_DEVICE=cuda.
#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

constexpr int kCycles = 100;

// Weights of about `n_bytes`, mostly one large matrix.
reattn_geometry filler(uint64_t n_bytes) {
  auto g = sized<reattn_geometry>();
  g.tied_embeddings = 1;
  g.n_layers = 1;
  g.n_embd = 1 << 12;
  g.n_heads = g.n_kv_heads = 1;
  g.head_dim = 64;
  g.n_ff = std::max<int64_t>(1, static_cast<int64_t>(n_bytes / 2 / 3 / (1 << 12)));
  g.n_ff = std::min<int64_t>(g.n_ff, 1 << 20);
  g.n_vocab = 300;
  g.n_window = 512;
  g.rope_freq_base = 10000;
  return g;
}

// Null where the device cannot hold it.
Model fill(uint64_t n_bytes) {
  reattn_model_options options;
  EXPECT_OK(call(reattn_model_options_init, &options, sizeof options));
  options.device = REATTN_DEVICE_CUDA;
  const reattn_geometry g = filler(n_bytes);
  reattn_model* handle = nullptr;
  EXPECT_OK(call(reattn_model_synthesize, &g, &options, &handle));
  Model model(handle);
  const Result r = call(reattn_model_wait, handle, int64_t{-1}, nullptr);
  if (r.status == REATTN_OK) return model;
  EXPECT_EQ(r.status, REATTN_E_OOM_DEVICE) << r;
  return nullptr;
}

TEST(CudaFull, GoesOnAfterEachRefusal) {
  if (test_device() != REATTN_DEVICE_CUDA) GTEST_SKIP() << "of the CUDA device";
  const Model model = open_model(model_path());
  const Session document = new_session(model.get());
  append(document.get(), reattn::test::document(2000));
  EXPECT_EQ(ask(document.get(), 0).reason, REATTN_DONE_READ);
  const auto answer = [&] {
    reattn_session* fork = nullptr;
    EXPECT_OK(call(reattn_session_fork, document.get(), &fork));
    const Session s(fork);
    return ask(s.get(), 12);
  };
  const Answer expected = answer();
  EXPECT_EQ(expected.tokens.size(), 12u);

  int n_refused = 0;
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    std::vector<Model> fillers;
    for (uint64_t n_bytes = uint64_t{24} << 30; n_bytes >= (uint64_t{64} << 20);) {
      if (Model m = fill(n_bytes)) {
        fillers.push_back(std::move(m));
      } else {
        n_bytes /= 4;
        ++n_refused;
      }
    }
    // Hardly anything is left: a new session's cache and working memory fit, or are refused.
    const Session more = new_session(model.get());
    append(more.get(), reattn::test::document(500));
    reattn_request_options options;
    EXPECT_OK(call(reattn_request_options_init, &options, sizeof options));
    reattn_request* request = nullptr;
    const Result r = call(reattn_request_create, more.get(), &options, &request);
    EXPECT_TRUE(r.status == REATTN_OK || r.status == REATTN_E_OOM_DEVICE) << r;
    reattn_request_free(request);
    fillers.pop_back();
    ASSERT_EQ(answer(), expected) << "cycle " << cycle;
  }
  EXPECT_GE(n_refused, 5 * kCycles);
}

}  // namespace
}  // namespace reattn::test
