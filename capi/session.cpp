// Sessions: settings, appending, looking back.
#include <utility>

#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "capi/objects.hpp"
#include "reattn/reattn.h"

namespace reattn::capi {
namespace {

using select::Selection;
static_assert(static_cast<int32_t>(Selection::kFull) == REATTN_SELECTION_FULL &&
              static_cast<int32_t>(Selection::kExact) == REATTN_SELECTION_EXACT &&
              static_cast<int32_t>(Selection::kBlock1) == REATTN_SELECTION_BLOCK1);
static_assert(static_cast<int32_t>(kernels::DType::kF32) == REATTN_KV_F32 &&
              static_cast<int32_t>(kernels::DType::kF16) == REATTN_KV_F16 &&
              static_cast<int32_t>(kernels::DType::kBF16) == REATTN_KV_BF16);

static_assert(static_cast<int32_t>(select::Scoring::kNative) == REATTN_SCORING_NATIVE &&
              static_cast<int32_t>(select::Scoring::kInt8) == REATTN_SCORING_INT8);

engine::AppendFlags append_flags(int32_t flags, int32_t known) {
  if ((flags & ~known) != 0) {
    fail(ErrorCode::kUnsupported, "append: flags ", flags, " has bits outside of ", known);
  }
  return {.more = (flags & REATTN_APPEND_MORE) != 0,
          .parse_special = (flags & REATTN_APPEND_SPECIAL) != 0,
          .logprobs = (flags & REATTN_APPEND_LOGPROBS) != 0};
}

reattn_session_options default_options(const ModelObject& model, const CacheObject* cache) {
  return from_settings(cache ? cache->snapshot->settings : model.header().default_settings);
}

}  // namespace

select::Settings to_settings(const reattn_session_options& options) {
  if (options.selection < REATTN_SELECTION_FULL || options.selection > REATTN_SELECTION_BLOCK1) {
    fail(ErrorCode::kArg, "selection is ", options.selection, ", not one of REATTN_SELECTION_*");
  }
  if (options.kv_dtype < REATTN_KV_F32 || options.kv_dtype > REATTN_KV_INT8) {
    fail(ErrorCode::kArg, "kv_dtype is ", options.kv_dtype, ", not one of REATTN_KV_*");
  }
  if (options.scoring < REATTN_SCORING_NATIVE || options.scoring > REATTN_SCORING_INT8) {
    fail(ErrorCode::kArg, "scoring is ", options.scoring, ", not one of REATTN_SCORING_*");
  }
  if (options.reserved != 0) {
    fail(ErrorCode::kUnsupported, "reserved is ", options.reserved, ", not 0");
  }
  const bool is_int8 = options.kv_dtype == REATTN_KV_INT8;
  return {
      .n_global = options.n_global,
      .n_local = options.n_local,
      .top_k = options.top_k,
      .span = options.span,
      .n_anchors = options.n_anchors,
      .chunk = options.chunk,
      .vote_stride = options.vote_stride,
      .selection = static_cast<Selection>(options.selection),
      .kv_dtype = is_int8 ? kernels::DType::kF16 : static_cast<kernels::DType>(options.kv_dtype),
      .int8_cache = is_int8,
      .scoring = static_cast<select::Scoring>(options.scoring),
      .max_tokens = options.max_tokens};
}

reattn_session_options from_settings(const select::Settings& settings) {
  return {
      .struct_size = sizeof(reattn_session_options),
      .selection = static_cast<int32_t>(settings.selection),
      .n_global = settings.n_global,
      .n_local = settings.n_local,
      .top_k = settings.top_k,
      .span = settings.span,
      .n_anchors = settings.n_anchors,
      .chunk = settings.chunk,
      .vote_stride = settings.vote_stride,
      .kv_dtype = settings.int8_cache ? REATTN_KV_INT8 : static_cast<int32_t>(settings.kv_dtype),
      .max_tokens = settings.max_tokens,
      .scoring = static_cast<int32_t>(settings.scoring),
      .reserved = 0};
}

}  // namespace reattn::capi

using namespace reattn;
using namespace reattn::capi;

reattn_status reattn_session_options_init(const reattn_model* model, const reattn_cache* cache,
                                          reattn_session_options* out_options, size_t size,
                                          reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<ModelObject>(model);
    const auto from = pin_or_null<CacheObject>(cache);
    init_struct(out_options, size, default_options(*object, from.get()), "out_options");
    return REATTN_OK;
  });
}

reattn_status reattn_session_create(const reattn_model* model, const reattn_cache* cache,
                                    const reattn_session_options* options,
                                    reattn_session** out_session, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<ModelObject>(model);
    const auto from = pin_or_null<CacheObject>(cache);
    require(out_session, "out_session");
    auto loaded = object->model();
    const reattn_session_options defaults = default_options(*object, from.get());
    const select::Settings settings =
        to_settings(options ? read_struct(options, defaults, "options") : defaults);
    auto session = from ? engine::Session::create(std::move(loaded), settings, *from->snapshot)
                        : engine::Session::create(std::move(loaded), settings);
    *out_session = publish(std::make_shared<SessionObject>(SessionObject{std::move(session)}));
    return REATTN_OK;
  });
}

reattn_status reattn_session_append_text(reattn_session* session, const uint8_t* text,
                                         uint64_t text_bytes, int32_t flags, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    constexpr int32_t kKnown = REATTN_APPEND_MORE | REATTN_APPEND_SPECIAL | REATTN_APPEND_LOGPROBS;
    object->session->append_text(input_text(text, text_bytes, "text"), append_flags(flags, kKnown));
    return REATTN_OK;
  });
}

reattn_status reattn_session_append_ids(reattn_session* session, const int32_t* ids, uint64_t n_ids,
                                        int32_t flags, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    constexpr int32_t kKnown = REATTN_APPEND_MORE | REATTN_APPEND_LOGPROBS;
    object->session->append_ids(input(ids, n_ids, "ids"), append_flags(flags, kKnown));
    return REATTN_OK;
  });
}

reattn_status reattn_session_get_info(const reattn_session* session, reattn_session_info* out_info,
                                      reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    const StructOut out(out_info, "out_info");
    const engine::SessionInfo info = object->session->info();
    out.write({.page_tokens = static_cast<int32_t>(kernels::kPageTokens),
               .n_tokens = info.n_tokens,
               .n_pending = info.n_pending,
               .kv_bytes = info.kv_bytes,
               .n_pages = info.n_pages,
               .n_shared_pages = info.n_shared_pages});
    return REATTN_OK;
  });
}

reattn_status reattn_session_tokens(const reattn_session* session, int64_t begin, int64_t end,
                                    int32_t* ids, uint64_t cap, uint64_t* needed,
                                    reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    const Output out(ids, cap, needed, "ids");
    out.write(object->session->tokens(begin, end));
    return REATTN_OK;
  });
}

reattn_status reattn_session_text(const reattn_session* session, int64_t begin, int64_t end,
                                  uint8_t* buf, uint64_t cap, uint64_t* needed,
                                  reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    const Output out(buf, cap, needed, "buf");
    out.write(object->session->text(begin, end));
    return REATTN_OK;
  });
}

reattn_status reattn_session_logprobs(const reattn_session* session, int64_t begin, int64_t end,
                                      float* logprobs, uint64_t cap, uint64_t* needed,
                                      reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    const Output out(logprobs, cap, needed, "logprobs");
    out.write(object->session->logprobs(begin, end));
    return REATTN_OK;
  });
}

reattn_status reattn_session_truncate(reattn_session* session, int64_t n_tokens,
                                      reattn_error** err) {
  return guard(err, [&] {
    pin<SessionObject>(session)->session->truncate(n_tokens);
    return REATTN_OK;
  });
}

reattn_status reattn_session_fork(reattn_session* session, reattn_session** out_session,
                                  reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    require(out_session, "out_session");
    auto fork = object->session->fork();
    *out_session = publish(std::make_shared<SessionObject>(SessionObject{std::move(fork)}));
    return REATTN_OK;
  });
}

void reattn_session_free(reattn_session* session) {
  retire<SessionObject>(session);
}
