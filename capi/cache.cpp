// Snapshots of sessions, in memory and in files.
#include <utility>

#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "capi/objects.hpp"
#include "core/cache/snapshot.hpp"
#include "reattn/reattn.h"

using namespace reattn;
using namespace reattn::capi;

reattn_status reattn_cache_snapshot(reattn_session* session, reattn_cache** out_cache,
                                    reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<SessionObject>(session);
    require(out_cache, "out_cache");
    auto snapshot = object->session->snapshot();
    *out_cache = publish(std::make_shared<CacheObject>(CacheObject{std::move(snapshot)}));
    return REATTN_OK;
  });
}

reattn_status reattn_cache_save(const reattn_cache* cache, const uint8_t* path, uint64_t path_bytes,
                                reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<CacheObject>(cache);
    cache::save(*object->snapshot, input_path(path, path_bytes));
    return REATTN_OK;
  });
}

reattn_status reattn_cache_open(const reattn_model* model, const uint8_t* path, uint64_t path_bytes,
                                reattn_cache** out_cache, reattn_error** err) {
  return guard(err, [&] {
    const auto loaded = pin<ModelObject>(model)->model();
    require(out_cache, "out_cache");
    auto snapshot = cache::open(input_path(path, path_bytes), loaded->identity(), loaded->device());
    *out_cache = publish(std::make_shared<CacheObject>(CacheObject{std::move(snapshot)}));
    return REATTN_OK;
  });
}

reattn_status reattn_cache_get_info(const reattn_cache* cache, reattn_cache_info* out_info,
                                    reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<CacheObject>(cache);
    const StructOut out(out_info, "out_info");
    const cache::Snapshot& snapshot = *object->snapshot;
    out.write({.has_logits = !snapshot.logits.empty(),
               .n_tokens = static_cast<int64_t>(snapshot.ids.size()),
               .kv_bytes = snapshot.cache.bytes(),
               .model_fingerprint = snapshot.identity.model,
               .tokenizer_fingerprint = snapshot.identity.tokenizer});
    return REATTN_OK;
  });
}

void reattn_cache_free(reattn_cache* cache) {
  retire<CacheObject>(cache);
}
