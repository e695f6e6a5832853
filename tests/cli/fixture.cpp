#include "tests/cli/fixture.hpp"

#include <sstream>

#include "tests/support/tiny_llama.hpp"

namespace reattn::test {

TemporaryDirectory* Command::directory_ = nullptr;

void Command::SetUpTestSuite() {
  directory_ = new TemporaryDirectory();
  write_file(model(), tiny_llama());
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += "Line " + std::to_string(i * 37 % 101) + " of this document names a colour, " +
            (i % 3 == 0 ? "red" : "blue") + ".\n";
  }
  write("document.txt", text);
}

void Command::TearDownTestSuite() {
  delete directory_;
  directory_ = nullptr;
}

std::string Command::write(const std::string& name, const std::string& text) {
  write_file(file(name), std::as_bytes(std::span(text)));
  return file(name);
}

std::string Command::succeed(const std::vector<std::string>& args, const std::string& input) {
  const Outcome outcome = reattn_command(args, input);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return outcome.out;
}

std::vector<nlohmann::json> Command::json_lines(const std::vector<std::string>& args) {
  std::istringstream out(succeed(args));
  std::vector<nlohmann::json> values;
  for (std::string line; std::getline(out, line);) values.push_back(nlohmann::json::parse(line));
  return values;
}

}  // namespace reattn::test
