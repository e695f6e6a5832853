// The C API with owned handles, strings and exceptions; no more than the command needs of it.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "reattn/reattn.h"

namespace reattn::cli {

using Ids = std::vector<int32_t>;

// A call of the C API that failed.
class ApiError : public std::runtime_error {
 public:
  ApiError(reattn_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  reattn_status status() const { return status_; }

 private:
  reattn_status status_;
};

template <auto free_object>
struct Free {
  void operator()(auto* object) const { free_object(object); }
};
using Model = std::unique_ptr<reattn_model, Free<reattn_model_free>>;
using Session = std::unique_ptr<reattn_session, Free<reattn_session_free>>;
using Cache = std::unique_ptr<reattn_cache, Free<reattn_cache_free>>;
using Request = std::unique_ptr<reattn_request, Free<reattn_request_free>>;
using Queue = std::unique_ptr<reattn_queue, Free<reattn_queue_free>>;

[[noreturn]] void throw_error(reattn_status status, reattn_error* error);

// Runs f(reattn_error**), turning a negative status into an ApiError.
template <class F>
reattn_status call(F&& f) {
  reattn_error* error = nullptr;
  const reattn_status status = f(&error);
  if (status < 0) throw_error(status, error);
  return status;
}

inline const uint8_t* bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

reattn_model_info model_info(const reattn_model* model);
reattn_memory_plan estimate(const reattn_model* model, const reattn_session_options& options,
                            int64_t n_tokens);
// Of the device that a model of this info was opened on.
reattn_device_info device_info(const reattn_model_info& model);

Ids tokenize(const reattn_model* model, std::string_view text, bool parse_special);
std::string render_chat(const reattn_model* model, std::string_view messages_json);

reattn_session_options session_options(const reattn_model* model, const reattn_cache* cache);
Session create_session(const reattn_model* model, const reattn_cache* cache,
                       const reattn_session_options& options);
void append(reattn_session* session, const Ids& ids, int32_t flags = 0);
reattn_session_info session_info(const reattn_session* session);
Ids session_tokens(const reattn_session* session, int64_t begin, int64_t end);
// Need not be whole UTF-8.
std::string session_text(const reattn_session* session, int64_t begin, int64_t end);
std::vector<float> session_logprobs(const reattn_session* session, int64_t begin, int64_t end);
void truncate(reattn_session* session, int64_t n_tokens);
Session fork(reattn_session* session);

Cache open_cache(const reattn_model* model, const std::string& path);
void save_snapshot(reattn_session* session, const std::string& path);

reattn_request_options request_options();
Request create_request(reattn_session* session, const reattn_request_options& options);
void add_stop(reattn_request* request, std::string_view text);
void set_json_schema(reattn_request* request, std::string_view schema);
std::vector<float> logits(const reattn_request* request);
std::vector<reattn_span> recalled(const reattn_request* request, int64_t layer, int32_t scope);
reattn_request_stats stats(const reattn_request* request);

Queue create_queue(const reattn_model* model);
void add(reattn_queue* queue, reattn_request* request, uint64_t tag);

// The next line of the library's log; false: there is none.
bool next_log_line(std::string& line);

}  // namespace reattn::cli
