// The shared tiny model, and driving sessions and requests.
#include "tests/capi/api.hpp"

#include <array>
#include <cstdlib>

namespace reattn::test {

const TemporaryDirectory& directory() {
  static const TemporaryDirectory d;
  return d;
}

const std::string& model_path() {
  static const std::string path = [] {
    std::string p = directory().file("tiny.gguf");
    write_file(p, tiny_llama());
    return p;
  }();
  return path;
}

std::string document(size_t n_bytes) {
  std::string text;
  for (int i = 0; text.size() < n_bytes; ++i) {
    text += "The code of room " + std::to_string(i * 7919 % 1000) + " is " +
            std::to_string(i * 104729 % 10000) + ". ";
  }
  text.resize(n_bytes);
  return text;
}

int32_t test_device() {
  const char* name = std::getenv("REATTN_TEST_DEVICE");
  return name != nullptr && std::string_view(name) == "cuda" ? REATTN_DEVICE_CUDA
                                                             : REATTN_DEVICE_CPU;
}

// Without a GPU the tests that ask for one are skipped as a whole.
class NeedsTheDevice : public testing::Environment {
  void SetUp() override {
    int32_t count = 0;
    EXPECT_OK(call(reattn_device_count, &count));
    if (test_device() == REATTN_DEVICE_CUDA && count == 1) GTEST_SKIP() << "no CUDA device";
  }
};
const auto* const kNeedsTheDevice = testing::AddGlobalTestEnvironment(new NeedsTheDevice);

Model open_model(const std::string& path, int32_t n_threads, int32_t header_only) {
  reattn_model_options options;
  EXPECT_OK(call(reattn_model_options_init, &options, sizeof options));
  options.device = test_device();
  options.n_threads = n_threads;
  options.header_only = header_only;
  reattn_model* model = nullptr;
  EXPECT_OK(call(reattn_model_open, bytes(path), path.size(), &options, &model));
  EXPECT_OK(call(reattn_model_wait, model, int64_t{-1}, nullptr));
  return Model(model);
}

reattn_session_options small_options(const reattn_model* model) {
  reattn_session_options o;
  EXPECT_OK(call(reattn_session_options_init, model, nullptr, &o, sizeof o));
  o.n_global = 8;
  o.n_local = 64;
  o.top_k = 2;
  o.span = 4;
  o.n_anchors = 8;
  o.chunk = 32;
  o.kv_dtype = REATTN_KV_F32;
  return o;
}

Session new_session(const reattn_model* model) {
  return new_session(model, small_options(model));
}

Session new_session(const reattn_model* model, const reattn_session_options& options) {
  reattn_session* session = nullptr;
  EXPECT_OK(call(reattn_session_create, model, nullptr, &options, &session));
  return Session(session);
}

void append(reattn_session* session, std::string_view text, int32_t flags) {
  EXPECT_OK(call(reattn_session_append_text, session, bytes(text), text.size(), flags));
}

Request new_request(reattn_session* session, int64_t max_tokens) {
  reattn_request_options options;
  EXPECT_OK(call(reattn_request_options_init, &options, sizeof options));
  options.max_tokens = max_tokens;
  options.ignore_end = 1;
  reattn_request* request = nullptr;
  EXPECT_OK(call(reattn_request_create, session, &options, &request));
  return Request(request);
}

Event next(reattn_request* request, reattn_status* status, int64_t timeout_ms) {
  Event out;
  std::array<uint8_t, 4096> buffer;
  uint64_t needed = 0;
  const Result r = call(reattn_request_next, request, timeout_ms, &out.event, buffer.data(),
                        buffer.size(), &needed);
  *status = r.status;
  EXPECT_GE(r.status, 0) << r;
  if (r.status == REATTN_OK) {
    EXPECT_EQ(out.event.text_bytes, needed);
    out.text.assign(reinterpret_cast<const char*>(buffer.data()), needed);
  }
  return out;
}

Answer drain(reattn_request* request, int64_t timeout_ms) {
  Answer answer;
  for (;;) {
    reattn_status status;
    const Event e = next(request, &status, timeout_ms);
    if (status == REATTN_TIMEOUT) continue;
    if (status != REATTN_OK) break;
    answer.text += e.text;
    if (e.event.kind == REATTN_EVENT_PREFILL) ++answer.n_prefill;
    if (e.event.kind == REATTN_EVENT_TEXT) {
      answer.tokens.push_back(e.event.token);
      answer.logprobs.push_back(e.event.logprob);
    }
    if (e.event.kind == REATTN_EVENT_DONE) answer.reason = e.event.reason;
  }
  return answer;
}

Session fork(reattn_session* session) {
  reattn_session* out = nullptr;
  EXPECT_OK(call(reattn_session_fork, session, &out));
  return Session(out);
}

void expect_same(const reattn_model* model, Answer got, const Answer& expected) {
  auto info = sized<reattn_model_info>();
  EXPECT_OK(call(reattn_model_get_info, model, &info));
  if (info.device != REATTN_DEVICE_CPU) {
    ASSERT_EQ(got.logprobs.size(), expected.logprobs.size());
    for (size_t i = 0; i < got.logprobs.size(); ++i) {
      EXPECT_NEAR(got.logprobs[i], expected.logprobs[i], 0.02) << i;
    }
    got.logprobs = expected.logprobs;
  }
  EXPECT_EQ(got, expected);
}

Queue new_queue(const reattn_model* model) {
  reattn_queue* queue = nullptr;
  EXPECT_OK(call(reattn_queue_create, model, &queue));
  return Queue(queue);
}

Tagged next(reattn_queue* queue, reattn_status* status, int64_t timeout_ms) {
  Tagged out;
  std::array<uint8_t, 4096> buffer;
  uint64_t needed = 0;
  const Result r = call(reattn_queue_next, queue, timeout_ms, &out.tag, &out.event, buffer.data(),
                        buffer.size(), &needed);
  *status = r.status;
  EXPECT_GE(r.status, 0) << r;
  if (r.status == REATTN_OK) {
    out.text.assign(reinterpret_cast<const char*>(buffer.data()), needed);
  }
  return out;
}

std::map<uint64_t, Answer> drain(reattn_queue* queue, int64_t timeout_ms) {
  std::map<uint64_t, Answer> answers;
  for (;;) {
    reattn_status status;
    const Tagged e = next(queue, &status, timeout_ms);
    if (status == REATTN_TIMEOUT) continue;
    if (status != REATTN_OK) return answers;
    Answer& answer = answers[e.tag];
    answer.text += e.text;
    if (e.event.kind == REATTN_EVENT_PREFILL) ++answer.n_prefill;
    if (e.event.kind == REATTN_EVENT_TEXT) {
      answer.tokens.push_back(e.event.token);
      answer.logprobs.push_back(e.event.logprob);
    }
    if (e.event.kind == REATTN_EVENT_DONE) answer.reason = e.event.reason;
  }
}

Answer ask(reattn_session* session, int64_t max_tokens) {
  return drain(new_request(session, max_tokens).get());
}

int64_t n_tokens(const reattn_session* session) {
  auto info = sized<reattn_session_info>();
  EXPECT_OK(call(reattn_session_get_info, session, &info));
  return info.n_tokens;
}

std::vector<int32_t> tokens(const reattn_session* session) {
  const int64_t n = n_tokens(session);
  std::vector<int32_t> ids(static_cast<size_t>(n));
  EXPECT_OK(call(reattn_session_tokens, session, int64_t{0}, n, ids.data(), ids.size(), nullptr));
  return ids;
}

reattn_model* ApiTest::model() {
  static const Model model = open_model(model_path());
  return model.get();
}

Session ApiTest::read(std::string_view text) {
  Session out = session();
  append(out.get(), text);
  EXPECT_EQ(ask(out.get(), 0).reason, REATTN_DONE_READ);
  return out;
}

}  // namespace reattn::test
