// A tiny model and a document for it, made once for all tests of the command.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/command.hpp"
#include "tests/support/gguf_builder.hpp"

namespace reattn::test {

class Command : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  static std::string file(const std::string& name) { return directory_->file(name); }
  static std::string write(const std::string& name, const std::string& text);
  static std::string model() { return file("tiny.gguf"); }        // window 512
  static std::string document() { return file("document.txt"); }  // beyond the window

  // The command ends well; what it wrote to standard output.
  static std::string succeed(const std::vector<std::string>& args, const std::string& input = {});
  // One JSON value per line.
  static std::vector<nlohmann::json> json_lines(const std::vector<std::string>& args);

 private:
  static TemporaryDirectory* directory_;
};

}  // namespace reattn::test
