// Snapshots: in memory, in files, damaged, and of another model.
#include <fstream>
#include <iterator>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

const std::string kQuestion = "\nWhat is the code? ";

class CacheTest : public ApiTest {
 protected:
  static Cache snapshot(reattn_session* session) {
    reattn_cache* cache = nullptr;
    EXPECT_OK(call(reattn_cache_snapshot, session, &cache));
    return Cache(cache);
  }
  static Result open(const reattn_model* m, const std::string& path, reattn_cache** out) {
    return call(reattn_cache_open, m, bytes(path), path.size(), out);
  }
  static Session from(const reattn_cache* cache) {
    reattn_session* out = nullptr;
    EXPECT_OK(call(reattn_session_create, model(), cache, nullptr, &out));
    return Session(out);
  }
};

TEST_F(CacheTest, SavedAndOpenedItAnswersTheSame) {
  const Session s = read(document(900));
  const Cache c = snapshot(s.get());
  const std::string path = directory().file("saved.reattn");
  ASSERT_OK(call(reattn_cache_save, c.get(), bytes(path), path.size()));
  reattn_cache* raw = nullptr;
  ASSERT_OK(open(model(), path, &raw));
  const Cache opened(raw);

  auto info = sized<reattn_cache_info>();
  auto model_info = sized<reattn_model_info>();
  ASSERT_OK(call(reattn_cache_get_info, opened.get(), &info));
  ASSERT_OK(call(reattn_model_get_info, model(), &model_info));
  EXPECT_EQ(info.n_tokens, n_tokens(s.get()));
  EXPECT_EQ(info.has_logits, 1);
  EXPECT_GT(info.kv_bytes, 0u);
  EXPECT_EQ(info.model_fingerprint, model_info.model_fingerprint);
  EXPECT_EQ(info.tokenizer_fingerprint, model_info.tokenizer_fingerprint);

  reattn_session_options options;
  ASSERT_OK(call(reattn_session_options_init, model(), opened.get(), &options, sizeof options));
  EXPECT_EQ(options.n_local, 64) << "the settings it was read with";
  EXPECT_EQ(options.chunk, 32);
  EXPECT_EQ(options.kv_dtype, REATTN_KV_F32);

  append(s.get(), kQuestion);
  const Answer expected = ask(s.get(), 8);
  for (const Cache* cache : {&c, &opened}) {
    const Session again = from(cache->get());
    EXPECT_EQ(n_tokens(again.get()), info.n_tokens);
    append(again.get(), kQuestion);
    EXPECT_EQ(ask(again.get(), 8), expected);
  }
}

TEST_F(CacheTest, SomeSettingsMayChangeAndOthersNot) {
  const Session s = read(document(900));
  const Cache c = snapshot(s.get());
  reattn_session_options o;
  ASSERT_OK(call(reattn_session_options_init, model(), c.get(), &o, sizeof o));
  o.n_anchors = 0;
  o.vote_stride = 3;
  o.n_local = 48;
  o.top_k = 1;
  o.span = 2;
  reattn_session* out = nullptr;
  ASSERT_OK(call(reattn_session_create, model(), c.get(), &o, &out));
  const Session without(out);
  append(without.get(), kQuestion);
  Request r = new_request(without.get(), 2);
  drain(r.get());
  uint64_t needed = 99;
  EXPECT_OK(call(reattn_request_recalled, r.get(), int64_t{REATTN_ALL_LAYERS},
                 int32_t{REATTN_RECALLED_ANSWER}, nullptr, uint64_t{0}, &needed));
  EXPECT_EQ(needed, 0u) << "nothing is recalled";

  out = nullptr;
  o.n_global = 9;
  EXPECT_FAILS(REATTN_E_MISMATCH, "n_global",
               call(reattn_session_create, model(), c.get(), &o, &out));
  o.n_global = 8;
  o.kv_dtype = REATTN_KV_F16;
  EXPECT_FAILS(REATTN_E_MISMATCH, "kv_dtype",
               call(reattn_session_create, model(), c.get(), &o, &out));
  o.kv_dtype = REATTN_KV_F32;
  o.scoring = REATTN_SCORING_INT8;
  EXPECT_FAILS(REATTN_E_MISMATCH, "scoring",
               call(reattn_session_create, model(), c.get(), &o, &out));
  EXPECT_EQ(out, nullptr);
}

TEST_F(CacheTest, AnotherModelsSnapshotIsRefused) {
  TinyLlamaOptions options;
  options.seed = 2;
  const std::string other_path = directory().file("other.gguf");
  write_file(other_path, tiny_llama(options));
  const Model other = open_model(other_path);
  const Session s = read(document(200));
  const Cache c = snapshot(s.get());
  const std::string path = directory().file("mine.reattn");
  ASSERT_OK(call(reattn_cache_save, c.get(), bytes(path), path.size()));
  reattn_cache* raw = nullptr;
  EXPECT_FAILS(REATTN_E_MISMATCH, path, open(other.get(), path, &raw));
  reattn_session* session = nullptr;
  EXPECT_FAILS(REATTN_E_MISMATCH, "model",
               call(reattn_session_create, other.get(), c.get(), nullptr, &session));
  EXPECT_EQ(raw, nullptr);
  EXPECT_EQ(session, nullptr);
}

TEST_F(CacheTest, DamageIsFound) {
  const Session s = read(document(200));
  const Cache c = snapshot(s.get());
  const std::string path = directory().file("damaged.reattn");
  ASSERT_OK(call(reattn_cache_save, c.get(), bytes(path), path.size()));
  std::vector<char> good;
  {
    std::ifstream in(path, std::ios::binary);
    good.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto write = [&](const std::vector<char>& content) {
    write_file(path, std::as_bytes(std::span(content)));
  };
  reattn_cache* raw = nullptr;
  for (size_t at = 0; at < good.size(); at += 1 + at / 64) {
    std::vector<char> bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    write(bad);
    const reattn_status status = open(model(), path, &raw).status;
    EXPECT_TRUE(status == REATTN_E_FORMAT || status == REATTN_E_UNSUPPORTED ||
                status == REATTN_E_MISMATCH)
        << "byte " << at << ": " << reattn_status_name(status);
  }
  for (size_t n = 0; n < good.size(); n += 1 + good.size() / 50) {
    write({good.begin(), good.begin() + static_cast<ptrdiff_t>(n)});
    EXPECT_FAILS(REATTN_E_FORMAT, path, open(model(), path, &raw));
  }
  EXPECT_EQ(raw, nullptr);
  EXPECT_FAILS(REATTN_E_IO, "missing", open(model(), directory().file("missing"), &raw));
  const std::string nowhere = directory().file("no/such/folder");
  EXPECT_FAILS(REATTN_E_IO, nowhere,
               call(reattn_cache_save, c.get(), bytes(nowhere), nowhere.size()));
}

TEST_F(CacheTest, QueuedInputMustBeReadFirst) {
  const Session s = session();
  append(s.get(), "queued");
  reattn_cache* cache = nullptr;
  EXPECT_FAILS(REATTN_E_BUSY, "queued", call(reattn_cache_snapshot, s.get(), &cache));
  EXPECT_EQ(cache, nullptr);
}

}  // namespace
}  // namespace reattn::test
