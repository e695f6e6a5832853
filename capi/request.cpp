// Requests: one pull at a time.
#include <mutex>
#include <utility>

#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "capi/objects.hpp"
#include "reattn/reattn.h"

namespace reattn::capi {
namespace {

using engine::DoneReason;
using engine::EventKind;
using engine::RecalledScope;

template <class Enum>
constexpr bool same(Enum value, int32_t constant) {
  return static_cast<int32_t>(value) == constant;
}
static_assert(same(EventKind::kPrefill, REATTN_EVENT_PREFILL) &&
              same(EventKind::kText, REATTN_EVENT_TEXT) &&
              same(EventKind::kDone, REATTN_EVENT_DONE));
static_assert(same(DoneReason::kRead, REATTN_DONE_READ) &&
              same(DoneReason::kEnd, REATTN_DONE_END) &&
              same(DoneReason::kStop, REATTN_DONE_STOP) &&
              same(DoneReason::kLength, REATTN_DONE_LENGTH) &&
              same(DoneReason::kFull, REATTN_DONE_FULL) &&
              same(DoneReason::kCancelled, REATTN_DONE_CANCELLED));
static_assert(same(RecalledScope::kLastStep, REATTN_RECALLED_LAST_STEP) &&
              same(RecalledScope::kPrompt, REATTN_RECALLED_PROMPT) &&
              same(RecalledScope::kAnswer, REATTN_RECALLED_ANSWER));
static_assert(sizeof(engine::Span) == sizeof(reattn_span) &&
              offsetof(engine::Span, begin) == offsetof(reattn_span, begin) &&
              offsetof(engine::Span, end) == offsetof(reattn_span, end) &&
              offsetof(engine::Span, votes) == offsetof(reattn_span, votes));

constexpr reattn_request_options kDefaults{.top_p = 1,
                                           .repetition_penalty = engine::RepetitionPenalty{}.factor,
                                           .repetition_window = engine::RepetitionPenalty{}.window};

// Alone with the request, or kBusy.
std::unique_lock<std::mutex> use(RequestObject& object) {
  std::unique_lock lock(object.in_use, std::try_to_lock);
  if (!lock) fail(ErrorCode::kBusy, "the request is in another call");
  return lock;
}

}  // namespace

reattn_event to_event(const engine::Event& event) {
  reattn_event out{};
  out.kind = static_cast<int32_t>(event.kind);
  out.token = -1;
  out.text_bytes = static_cast<uint32_t>(event.text.size());
  if (event.kind == EventKind::kText) {
    out.token = event.token;
    out.logprob = event.logprob;
  } else {
    out.n_done = event.n_done;
    out.n_total = event.n_total;
  }
  if (event.kind == EventKind::kDone) out.reason = static_cast<int32_t>(event.reason);
  return out;
}

}  // namespace reattn::capi

using namespace reattn;
using namespace reattn::capi;

reattn_status reattn_request_options_init(reattn_request_options* out_options, size_t size,
                                          reattn_error** err) {
  return guard(err, [&] {
    init_struct(out_options, size, kDefaults, "out_options");
    return REATTN_OK;
  });
}

reattn_status reattn_request_create(reattn_session* session, const reattn_request_options* options,
                                    reattn_request** out_request, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    require(out_request, "out_request");
    const auto chosen = options ? read_struct(options, kDefaults, "options") : kDefaults;
    const engine::RequestOptions converted{
        .max_tokens = chosen.max_tokens,
        .sampling = {.temperature = chosen.temperature,
                     .top_k = chosen.top_k,
                     .top_p = chosen.top_p,
                     .min_p = chosen.min_p,
                     .seed = chosen.seed,
                     .repetition = {chosen.repetition_penalty, chosen.repetition_window}},
        .ignore_end = to_bool(chosen.ignore_end, "ignore_end")};
    auto request = std::make_shared<RequestObject>();
    request->request = std::make_shared<engine::Request>(object->session, converted);
    *out_request = publish(std::move(request));
    return REATTN_OK;
  });
}

reattn_status reattn_request_add_stop(reattn_request* request, const uint8_t* text,
                                      uint64_t text_bytes, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<RequestObject>(request);
    const auto lock = use(*object);
    object->request->add_stop(input_text(text, text_bytes, "text"));
    return REATTN_OK;
  });
}

reattn_status reattn_request_set_json_schema(reattn_request* request, const uint8_t* schema,
                                             uint64_t schema_bytes, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<RequestObject>(request);
    const auto lock = use(*object);
    object->request->set_json_schema(input_text(schema, schema_bytes, "schema"));
    return REATTN_OK;
  });
}

reattn_status reattn_request_next(reattn_request* request, int64_t timeout_ms,
                                  reattn_event* out_event, uint8_t* buf, uint64_t cap,
                                  uint64_t* needed, reattn_error** err) {
  return guard(err, [&]() -> reattn_status {
    const auto object = pin<RequestObject>(request);
    const auto lock = use(*object);
    const StructOut out(out_event, "out_event");
    const Output text(buf, cap, needed, "buf");
    if (!object->pending) object->pending = object->request->next(timeout_ms);
    if (!object->pending) return object->request->done() ? REATTN_END : REATTN_TIMEOUT;
    text.write(object->pending->text);
    out.write(to_event(*object->pending));
    object->pending.reset();
    return REATTN_OK;
  });
}

reattn_status reattn_request_cancel(const reattn_request* request, reattn_error** err) {
  return guard(err, [&] {
    pin<RequestObject>(request)->request->cancel();
    return REATTN_OK;
  });
}

reattn_status reattn_request_logits(const reattn_request* request, float* logits, uint64_t cap,
                                    uint64_t* needed, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<RequestObject>(request);
    const Output out(logits, cap, needed, "logits");
    out.write(object->request->logits());
    return REATTN_OK;
  });
}

reattn_status reattn_request_recalled(const reattn_request* request, int64_t layer, int32_t scope,
                                      reattn_span* spans, uint64_t cap, uint64_t* needed,
                                      reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<RequestObject>(request);
    const Output out(spans, cap, needed, "spans");
    out.write(object->request->recalled(layer, static_cast<RecalledScope>(scope)));
    return REATTN_OK;
  });
}

reattn_status reattn_request_get_stats(const reattn_request* request,
                                       reattn_request_stats* out_stats, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<RequestObject>(request);
    const StructOut out(out_stats, "out_stats");
    const bool done = object->request->done();
    const engine::RequestStats stats = object->request->stats();
    out.write({.done = done,
               .n_prefill_tokens = stats.n_prefill_tokens,
               .n_decode_tokens = stats.n_decode_tokens,
               .prefill_seconds = stats.prefill_seconds,
               .decode_seconds = stats.decode_seconds,
               .first_token_seconds = stats.first_token_seconds});
    return REATTN_OK;
  });
}

void reattn_request_free(reattn_request* request) {
  if (const auto object = retire<RequestObject>(request)) object->request->drop();
}
