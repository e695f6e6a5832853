// Queues: the events of many requests out of one pull.
#include <mutex>

#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "capi/objects.hpp"
#include "reattn/reattn.h"

using namespace reattn;
using namespace reattn::capi;

reattn_status reattn_queue_create(const reattn_model* model, reattn_queue** out_queue,
                                  reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<ModelObject>(model);
    require(out_queue, "out_queue");
    *out_queue = publish(std::make_shared<QueueObject>(object->model()));
    return REATTN_OK;
  });
}

reattn_status reattn_queue_add(reattn_queue* queue, reattn_request* request, uint64_t tag,
                               reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<QueueObject>(queue);
    object->queue.add(pin<RequestObject>(request)->request, tag);
    return REATTN_OK;
  });
}

reattn_status reattn_queue_next(reattn_queue* queue, int64_t timeout_ms, uint64_t* out_tag,
                                reattn_event* out_event, uint8_t* buf, uint64_t cap,
                                uint64_t* needed, reattn_error** err) {
  return guard(err, [&]() -> reattn_status {
    const auto object = pin<QueueObject>(queue);
    const std::unique_lock lock(object->in_use, std::try_to_lock);
    if (!lock) fail(ErrorCode::kBusy, "the queue is in another call of reattn_queue_next");
    require(out_tag, "out_tag");
    const StructOut out(out_event, "out_event");
    const Output text(buf, cap, needed, "buf");
    const engine::Queue::Item* item = object->queue.next(timeout_ms);
    if (!item) return object->queue.is_empty() ? REATTN_END : REATTN_TIMEOUT;
    if (const std::exception_ptr error = item->error) {
      *out_tag = item->tag;
      object->queue.pop();
      std::rethrow_exception(error);
    }
    text.write(item->event.text);
    out.write(to_event(item->event));
    *out_tag = item->tag;
    object->queue.pop();
    return REATTN_OK;
  });
}

void reattn_queue_free(reattn_queue* queue) {
  if (const auto object = retire<QueueObject>(queue)) object->queue.close();
}
