// A tiny model on disk and opened, and short ways to drive a session.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/request.hpp"
#include "reattn/kernels/device.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/support/tiny_llama.hpp"

namespace reattn::engine {

using test::expect_error;

inline std::string temp_path(const std::string& name) {
  return (std::filesystem::temp_directory_path() /
          ("reattn_" + std::to_string(getpid()) + "_" + name))
      .string();
}

inline std::string write_model(const std::string& name,
                               const test::TinyLlamaOptions& options = {}) {
  const std::string path = temp_path(name);
  const auto bytes = test::tiny_llama(options);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return path;
}

// A scope of 104 in a window of 512: short texts already have a middle.
inline select::Settings small_settings() {
  select::Settings s;
  s.n_global = 8;
  s.n_local = 64;
  s.top_k = 2;
  s.span = 4;
  s.n_anchors = 8;
  s.chunk = 32;
  s.kv_dtype = kernels::DType::kF32;
  return s;
}

inline std::string document(size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) {
    text += "The code of room " + std::to_string(i * 7919 % 1000) + " is " +
            std::to_string(i * 104729 % 10000) + ". ";
  }
  text.resize(bytes);
  return text;
}

struct Answer {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  DoneReason reason = DoneReason::kRead;
  int n_prefill_events = 0;
  bool operator==(const Answer&) const = default;
};

inline Answer drain(Request& request, int64_t timeout_ms = -1) {
  Answer a;
  while (!request.done()) {
    const auto event = request.next(timeout_ms);
    if (!event) continue;
    a.text += event->text;
    if (event->kind == EventKind::kPrefill) ++a.n_prefill_events;
    if (event->kind == EventKind::kText) {
      a.tokens.push_back(event->token);
      a.logprobs.push_back(event->logprob);
    }
    if (event->kind == EventKind::kDone) a.reason = event->reason;
  }
  return a;
}

inline Answer ask(const std::shared_ptr<Session>& session, int64_t max_tokens,
                  const Sampling& sampling = {}) {
  Request request(session, {.max_tokens = max_tokens, .sampling = sampling, .ignore_end = true});
  return drain(request);
}

class EngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    path() = write_model("engine.gguf");
    model() = Model::open(path(), kernels::make_cpu_device(1), nullptr);
  }
  static void TearDownTestSuite() {
    model().reset();
    std::remove(path().c_str());
  }
  static std::shared_ptr<const Model>& model() {
    static std::shared_ptr<const Model> m;
    return m;
  }
  static std::string& path() {
    static std::string p;
    return p;
  }
  static std::shared_ptr<Session> session(const select::Settings& s = small_settings()) {
    return Session::create(model(), s);
  }
  static std::shared_ptr<Session> read(const std::string& text,
                                       const select::Settings& s = small_settings()) {
    auto out = session(s);
    out->append_text(text, {});
    Request request(out, {});
    drain(request);
    return out;
  }
};

}  // namespace reattn::engine
