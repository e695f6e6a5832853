// What questions are about: a document to read, a snapshot of one, or nothing.
#pragma once

#include <optional>
#include <string>

#include "examples/cli/api.hpp"
#include "examples/cli/options.hpp"
#include "examples/cli/prompt.hpp"

namespace reattn::cli {

struct DocumentArgs {
  std::string file, snapshot, save;
  std::optional<std::string> system;
  bool raw = false;

  void add_to(CLI::App& app);
};

// A session that stands after the document, if there is one, and the file --save asked for is
// written. Reading shows progress. Throws Interrupted after a Ctrl-C, or with keep_interrupted goes
// on with what was read.
Session open_document(const reattn_model* model, const DocumentArgs& args, const MethodArgs& method,
                      const PromptFormat& format, bool keep_interrupted = false);

// Throws the same error with `where` before the message.
template <class F>
auto naming(const std::string& where, F&& f) {
  try {
    return f();
  } catch (const ApiError& e) {
    throw ApiError(e.status(), where + ": " + e.what());
  }
}

}  // namespace reattn::cli
