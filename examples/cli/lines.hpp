// Lines of standard input, where a Ctrl-C is noticed while waiting.
#pragma once

#include <string>

namespace reattn::cli {

class LineReader {
 public:
  // The next line without its end; false at the end of input. Throws Interrupted on a Ctrl-C.
  bool next(std::string& line);

 private:
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace reattn::cli
