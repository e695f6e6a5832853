// Runs the reattn command the way a shell does.
#pragma once

#include <string>
#include <vector>

namespace reattn::test {

struct Outcome {
  int status;  // exit status; 128 + signal where one ended it
  std::string out, err;
};

// Arguments as they are, nothing is expanded. `input` becomes standard input; a non-zero
// interrupt_after_ms sends SIGINT that long after the first line on standard error.
Outcome reattn_command(const std::vector<std::string>& args, const std::string& input = {},
                       int interrupt_after_ms = 0);

}  // namespace reattn::test
