// Short ways to call reattn.h from tests, and a tiny model that all of them share.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reattn/reattn.h"
#include "tests/support/tiny_llama.hpp"

namespace reattn::test {

struct Result {
  reattn_status status;
  std::string message;
};

inline std::ostream& operator<<(std::ostream& out, const Result& r) {
  return out << reattn_status_name(r.status) << ": " << r.message;
}

// Calls f(args..., &err) and checks what every call promises about err.
template <class F, class... Args>
Result call(F f, Args... args) {
  auto* const garbage = reinterpret_cast<reattn_error*>(uintptr_t{0xDEADBEEF});
  reattn_error* err = garbage;
  const reattn_status status = f(args..., &err);
  EXPECT_NE(err, garbage);
  Result result{status, ""};
  if (status >= 0) {
    EXPECT_EQ(err, nullptr);
  } else {
    EXPECT_EQ(reattn_error_code(err), status);
    result.message = reattn_error_message(err);
    EXPECT_FALSE(result.message.empty());
  }
  reattn_error_free(err);
  return result;
}

#define EXPECT_OK(...)                             \
  do {                                             \
    const ::reattn::test::Result r_ = __VA_ARGS__; \
    EXPECT_EQ(r_.status, REATTN_OK) << r_;         \
  } while (false)

#define ASSERT_OK(...)                             \
  do {                                             \
    const ::reattn::test::Result r_ = __VA_ARGS__; \
    ASSERT_EQ(r_.status, REATTN_OK) << r_;         \
  } while (false)

// The call fails with this status and a message that holds `fragment`.
#define EXPECT_FAILS(code, fragment, ...)                          \
  do {                                                             \
    const ::reattn::test::Result r_ = __VA_ARGS__;                 \
    EXPECT_EQ(r_.status, code) << r_;                              \
    EXPECT_NE(r_.message.find(fragment), std::string::npos) << r_; \
  } while (false)

inline const uint8_t* bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

template <class T>
T sized() {
  T value{};
  value.struct_size = sizeof(T);
  return value;
}

// A handle that frees itself.
template <class H, void (*Free)(H*)>
struct Freer {
  void operator()(H* h) const { Free(h); }
};
using Model = std::unique_ptr<reattn_model, Freer<reattn_model, reattn_model_free>>;
using Session = std::unique_ptr<reattn_session, Freer<reattn_session, reattn_session_free>>;
using Cache = std::unique_ptr<reattn_cache, Freer<reattn_cache, reattn_cache_free>>;
using Request = std::unique_ptr<reattn_request, Freer<reattn_request, reattn_request_free>>;
using Queue = std::unique_ptr<reattn_queue, Freer<reattn_queue, reattn_queue_free>>;

// One file of the tiny model for the whole test program, in a directory of its own.
const TemporaryDirectory& directory();
const std::string& model_path();
std::string document(size_t n_bytes);

// What the tests' models are opened on: REATTN_DEVICE_CPU, or with REATTN_TEST_DEVICE=cuda REATTN_DEVICE_CUDA.
int32_t test_device();
Model open_model(const std::string& path, int32_t n_threads = 1, int32_t header_only = 0);

// A scope of 104 in a window of 512, so that short texts already have a middle.
reattn_session_options small_options(const reattn_model* model);
Session new_session(const reattn_model* model);
Session new_session(const reattn_model* model, const reattn_session_options& options);
Session fork(reattn_session* session);
void append(reattn_session* session, std::string_view text, int32_t flags = 0);
Request new_request(reattn_session* session, int64_t max_tokens);

struct Event {
  reattn_event event = sized<reattn_event>();
  std::string text;
};
// The next event; the status goes to *status.
Event next(reattn_request* request, reattn_status* status, int64_t timeout_ms = -1);

struct Answer {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  int32_t reason = 0;
  int n_prefill = 0;
  bool operator==(const Answer&) const = default;
};
Answer drain(reattn_request* request, int64_t timeout_ms = -1);

// On the CPU the same bits; elsewhere the products of several rows may round otherwise than those of one.
void expect_same(const reattn_model* model, Answer got, const Answer& expected);

Queue new_queue(const reattn_model* model);
struct Tagged : Event {
  uint64_t tag = 0;
};
Tagged next(reattn_queue* queue, reattn_status* status, int64_t timeout_ms = -1);
// The answer of each request, by tag.
std::map<uint64_t, Answer> drain(reattn_queue* queue, int64_t timeout_ms = -1);

// Reads what is queued and generates max_tokens.
Answer ask(reattn_session* session, int64_t max_tokens);

int64_t n_tokens(const reattn_session* session);
std::vector<int32_t> tokens(const reattn_session* session);

// A model opened once for all tests of a suite.
class ApiTest : public ::testing::Test {
 protected:
  static reattn_model* model();
  static Session session() { return new_session(model()); }
  static Session read(std::string_view text);
};

}  // namespace reattn::test
