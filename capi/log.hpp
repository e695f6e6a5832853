// Messages for whoever asks: the ring behind reattn_log_next.
#pragma once

#include <string>

namespace reattn::capi {

// One line. A message that there is no memory for is lost, as the gap in the sequence tells.
void log_message(std::string text) noexcept;

}  // namespace reattn::capi
