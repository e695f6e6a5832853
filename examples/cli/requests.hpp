// Running requests to their end: reading with progress, answering onto standard output.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "examples/cli/api.hpp"
#include "examples/cli/options.hpp"

namespace reattn::cli {

using OnEvent = std::function<void(const reattn_event& event, std::string_view text)>;

// Pulls every event of the request; a Ctrl-C cancels it. Returns the reason of its end.
int32_t drain(reattn_request* request, const OnEvent& on_event);

// Pulls every event of the requests in the queue, for nothing but the time it takes. Throws Interrupted after a Ctrl-C.
void drain(reattn_queue* queue);

// Reads what the session has queued, generating nothing. Throws Interrupted after a Ctrl-C.
Request read_queued(reattn_session* session, const OnEvent& on_event = {});

// The same, showing progress.
Request read_with_progress(reattn_session* session);

// An answer that was written to standard output.
struct Answer {
  Request request;
  int32_t reason;  // REATTN_DONE_*
};
// Reads what the session has queued, then generates and writes the answer as it comes, its given
// beginning `prefix` first and a line end last.
Answer write_answer(reattn_session* session, const SamplingArgs& sampling, std::string_view prefix);

// Writes to standard output at once; throws where that fails.
void write_out(std::string_view text);

}  // namespace reattn::cli
