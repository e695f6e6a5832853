#include "examples/cli/lines.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "examples/cli/interrupt.hpp"

namespace reattn::cli {

bool LineReader::next(std::string& line) {
  for (;;) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return true;
    }
    if (ended_) {
      line = std::exchange(buffer_, {});
      return !line.empty();
    }
    if (interrupted()) throw Interrupted();
    // read() would be restarted after a signal, poll() is not.
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 200) <= 0) continue;
    std::array<char, 4096> block;
    const ssize_t n = read(STDIN_FILENO, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      throw std::runtime_error(std::string("standard input cannot be read: ") +
                               std::strerror(errno));
    }
    if (n == 0) ended_ = true;
    buffer_.append(block.data(), n);
  }
}

}  // namespace reattn::cli
