#include "examples/cli/api.hpp"

namespace reattn::cli {
namespace {

// What f(buf, cap, needed, err) gives out. With room for all of it at once, f runs only once.
template <class Container, class F>
Container collect(size_t room, F&& f) {
  Container out;
  for (uint64_t needed = room;;) {
    out.resize(needed);
    reattn_error* error = nullptr;
    const reattn_status status = f(out.data(), out.size(), &needed, &error);
    if (status >= 0) {
      out.resize(needed);
      return out;
    }
    if (status != REATTN_E_BUFFER) throw_error(status, error);
    reattn_error_free(error);
  }
}

template <class T>
T sized() {
  T value{};
  value.struct_size = sizeof value;
  return value;
}

}  // namespace

void throw_error(reattn_status status, reattn_error* error) {
  const std::string message =
      error != nullptr ? reattn_error_message(error) : reattn_status_name(status);
  reattn_error_free(error);
  throw ApiError(status, message);
}

reattn_model_info model_info(const reattn_model* model) {
  auto info = sized<reattn_model_info>();
  call([&](reattn_error** e) { return reattn_model_get_info(model, &info, e); });
  return info;
}

reattn_memory_plan estimate(const reattn_model* model, const reattn_session_options& options,
                            int64_t n_tokens) {
  auto plan = sized<reattn_memory_plan>();
  call(
      [&](reattn_error** e) { return reattn_model_estimate(model, &options, n_tokens, &plan, e); });
  return plan;
}

reattn_device_info device_info(const reattn_model_info& model) {
  int32_t count = 0;
  call([&](reattn_error** e) { return reattn_device_count(&count, e); });
  for (int32_t i = 0; i < count; ++i) {
    auto info = sized<reattn_device_info>();
    call([&](reattn_error** e) { return reattn_device_get_info(i, &info, e); });
    if (info.kind == model.device) return info;
  }
  throw ApiError(REATTN_E_NO_DEVICE, "the model's device is gone");
}

Ids tokenize(const reattn_model* model, std::string_view text, bool parse_special) {
  return collect<Ids>(text.size(), [&](int32_t* ids, uint64_t cap, uint64_t* needed, auto** e) {
    return reattn_text_tokenize(model, bytes(text), text.size(), parse_special, ids, cap, needed,
                                e);
  });
}

std::string render_chat(const reattn_model* model, std::string_view messages_json) {
  return collect<std::string>(4096, [&](char* buf, uint64_t cap, uint64_t* needed, auto** e) {
    return reattn_chat_render(model, bytes(messages_json), messages_json.size(), 1,
                              reinterpret_cast<uint8_t*>(buf), cap, needed, e);
  });
}

reattn_session_options session_options(const reattn_model* model, const reattn_cache* cache) {
  reattn_session_options options;
  call([&](reattn_error** e) {
    return reattn_session_options_init(model, cache, &options, sizeof options, e);
  });
  return options;
}

Session create_session(const reattn_model* model, const reattn_cache* cache,
                       const reattn_session_options& options) {
  reattn_session* session = nullptr;
  call(
      [&](reattn_error** e) { return reattn_session_create(model, cache, &options, &session, e); });
  return Session(session);
}

void append(reattn_session* session, const Ids& ids, int32_t flags) {
  call([&](reattn_error** e) {
    return reattn_session_append_ids(session, ids.data(), ids.size(), flags, e);
  });
}

reattn_session_info session_info(const reattn_session* session) {
  auto info = sized<reattn_session_info>();
  call([&](reattn_error** e) { return reattn_session_get_info(session, &info, e); });
  return info;
}

Ids session_tokens(const reattn_session* session, int64_t begin, int64_t end) {
  return collect<Ids>(end - begin, [&](int32_t* ids, uint64_t cap, uint64_t* needed, auto** e) {
    return reattn_session_tokens(session, begin, end, ids, cap, needed, e);
  });
}

std::string session_text(const reattn_session* session, int64_t begin, int64_t end) {
  return collect<std::string>(1024, [&](char* buf, uint64_t cap, uint64_t* needed, auto** e) {
    return reattn_session_text(session, begin, end, reinterpret_cast<uint8_t*>(buf), cap, needed,
                               e);
  });
}

std::vector<float> session_logprobs(const reattn_session* session, int64_t begin, int64_t end) {
  return collect<std::vector<float>>(
      end - begin, [&](float* logprobs, uint64_t cap, uint64_t* needed, auto** e) {
        return reattn_session_logprobs(session, begin, end, logprobs, cap, needed, e);
      });
}

void truncate(reattn_session* session, int64_t n_tokens) {
  call([&](reattn_error** e) { return reattn_session_truncate(session, n_tokens, e); });
}

Session fork(reattn_session* session) {
  reattn_session* child = nullptr;
  call([&](reattn_error** e) { return reattn_session_fork(session, &child, e); });
  return Session(child);
}

Cache open_cache(const reattn_model* model, const std::string& path) {
  reattn_cache* cache = nullptr;
  call([&](reattn_error** e) {
    return reattn_cache_open(model, bytes(path), path.size(), &cache, e);
  });
  return Cache(cache);
}

void save_snapshot(reattn_session* session, const std::string& path) {
  reattn_cache* snapshot = nullptr;
  call([&](reattn_error** e) { return reattn_cache_snapshot(session, &snapshot, e); });
  const Cache cache(snapshot);
  call([&](reattn_error** e) {
    return reattn_cache_save(cache.get(), bytes(path), path.size(), e);
  });
}

reattn_request_options request_options() {
  reattn_request_options options;
  call([&](reattn_error** e) { return reattn_request_options_init(&options, sizeof options, e); });
  return options;
}

Request create_request(reattn_session* session, const reattn_request_options& options) {
  reattn_request* request = nullptr;
  call([&](reattn_error** e) { return reattn_request_create(session, &options, &request, e); });
  return Request(request);
}

void add_stop(reattn_request* request, std::string_view text) {
  call([&](reattn_error** e) {
    return reattn_request_add_stop(request, bytes(text), text.size(), e);
  });
}

void set_json_schema(reattn_request* request, std::string_view schema) {
  call([&](reattn_error** e) {
    return reattn_request_set_json_schema(request, bytes(schema), schema.size(), e);
  });
}

std::vector<float> logits(const reattn_request* request) {
  return collect<std::vector<float>>(
      0, [&](float* values, uint64_t cap, uint64_t* needed, auto** e) {
        return reattn_request_logits(request, values, cap, needed, e);
      });
}

std::vector<reattn_span> recalled(const reattn_request* request, int64_t layer, int32_t scope) {
  return collect<std::vector<reattn_span>>(
      256, [&](reattn_span* spans, uint64_t cap, uint64_t* needed, auto** e) {
        return reattn_request_recalled(request, layer, scope, spans, cap, needed, e);
      });
}

reattn_request_stats stats(const reattn_request* request) {
  auto out = sized<reattn_request_stats>();
  call([&](reattn_error** e) { return reattn_request_get_stats(request, &out, e); });
  return out;
}

Queue create_queue(const reattn_model* model) {
  reattn_queue* queue = nullptr;
  call([&](reattn_error** e) { return reattn_queue_create(model, &queue, e); });
  return Queue(queue);
}

void add(reattn_queue* queue, reattn_request* request, uint64_t tag) {
  call([&](reattn_error** e) { return reattn_queue_add(queue, request, tag, e); });
}

bool next_log_line(std::string& line) {
  bool ended = false;
  line = collect<std::string>(256, [&](char* buf, uint64_t cap, uint64_t* needed, auto** e) {
    auto event = sized<reattn_log_event>();
    const reattn_status status =
        reattn_log_next(&event, reinterpret_cast<uint8_t*>(buf), cap, needed, e);
    if (status == REATTN_END) {
      ended = true;
      *needed = 0;
    }
    return status;
  });
  return !ended;
}

}  // namespace reattn::cli
