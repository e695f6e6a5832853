// The subcommands. Each adds itself to the parser and, when it is the one asked for, sets `action`
// to what is to be done once the command line is understood.
#pragma once

#include <functional>

#include "examples/cli/document.hpp"
#include "examples/cli/options.hpp"
#include "examples/cli/prompt.hpp"

namespace reattn::cli {

using Action = std::function<void()>;

void add_run(CLI::App& app, Action& action);
void add_info(CLI::App& app, Action& action);
void add_trace(CLI::App& app, Action& action);
void add_score(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);

struct ChatSettings {
  SamplingArgs sampling;
  std::string answer_prefix;
  size_t n_passages;  // shown after each answer; 0: none
};
// Questions from standard input, line by line, answered on standard output.
void chat(const reattn_model* model, reattn_session* session, const PromptFormat& format,
          const ChatSettings& settings);

}  // namespace reattn::cli
