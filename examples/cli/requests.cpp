#include "examples/cli/requests.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "examples/cli/interrupt.hpp"
#include "examples/cli/progress.hpp"

namespace reattn::cli {
namespace {

constexpr int64_t kPollMs = 50;  // how soon a Ctrl-C is seen

}  // namespace

int32_t drain(reattn_request* request, const OnEvent& on_event) {
  std::string text(4096, '\0');
  for (;;) {
    if (interrupted()) {
      call([&](reattn_error** e) { return reattn_request_cancel(request, e); });
    }
    reattn_event event = {};
    event.struct_size = sizeof event;
    uint64_t needed = 0;
    reattn_error* error = nullptr;
    const reattn_status status =
        reattn_request_next(request, kPollMs, &event, reinterpret_cast<uint8_t*>(text.data()),
                            text.size(), &needed, &error);
    if (status == REATTN_E_BUFFER) {
      reattn_error_free(error);
      text.resize(needed);
      continue;
    }
    if (status < 0) throw_error(status, error);
    if (status == REATTN_TIMEOUT) continue;
    if (status == REATTN_END) return REATTN_DONE_CANCELLED;
    if (on_event) on_event(event, std::string_view(text.data(), event.text_bytes));
    if (event.kind == REATTN_EVENT_DONE) return event.reason;
  }
}

void drain(reattn_queue* queue) {
  std::string text(4096, '\0');
  for (reattn_status status = REATTN_OK; status != REATTN_END;) {
    if (interrupted()) throw Interrupted();
    reattn_event event = {};
    event.struct_size = sizeof event;
    uint64_t tag = 0, needed = 0;
    reattn_error* error = nullptr;
    status =
        reattn_queue_next(queue, kPollMs, &tag, &event, reinterpret_cast<uint8_t*>(text.data()),
                          text.size(), &needed, &error);
    if (status == REATTN_E_BUFFER) {
      reattn_error_free(error);
      text.resize(needed);
    } else if (status < 0) {
      throw_error(status, error);
    }
  }
}

Request read_queued(reattn_session* session, const OnEvent& on_event) {
  Request request = create_request(session, request_options());
  if (drain(request.get(), on_event) == REATTN_DONE_CANCELLED) throw Interrupted();
  return request;
}

Request read_with_progress(reattn_session* session) {
  ReadProgress progress;
  return read_queued(session, [&](const reattn_event& event, std::string_view) {
    if (event.kind == REATTN_EVENT_PREFILL) progress.update(event.n_done, event.n_total);
  });
}

Answer write_answer(reattn_session* session, const SamplingArgs& sampling,
                    std::string_view prefix) {
  Request request = sampling.start(session);
  ReadProgress progress;
  bool begun = false;
  const int32_t reason =
      drain(request.get(), [&](const reattn_event& event, std::string_view text) {
        if (event.kind == REATTN_EVENT_PREFILL) progress.update(event.n_done, event.n_total);
        if (event.kind == REATTN_EVENT_TEXT && !begun) {
          write_out(prefix);
          begun = true;
        }
        write_out(text);
      });
  write_out("\n");
  return {std::move(request), reason};
}

void write_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw std::runtime_error(std::string("standard output cannot be written: ") +
                             std::strerror(errno));
  }
}

}  // namespace reattn::cli
