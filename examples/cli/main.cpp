// reattn: long documents through a small window, from the command line.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "examples/cli/commands.hpp"
#include "examples/cli/interrupt.hpp"

namespace reattn::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kInterrupted = 130;

int complain(const std::string& message, int exit_status) {
  std::fprintf(stderr, "reattn: %s\n", message.c_str());
  return exit_status;
}

int run(int argc, char** argv) {
  CLI::App app("Reads documents far longer than a language model's window, by ReAttention.",
               "reattn");
  app.set_version_flag("--version", std::string("reattn ") + reattn_version());
  app.require_subcommand(0, 1);
  Action action;
  add_run(app, action);
  add_info(app, action);
  add_trace(app, action);
  add_score(app, action);
  add_bench(app, action);
  try {
    app.parse(argc, argv);
    if (!action) throw UsageError("a subcommand is needed; reattn --help lists them");
    watch_interrupts();
    action();
    return 0;
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help, --version
  } catch (const CLI::ParseError& e) {
    return complain(e.what() + std::string(" (reattn --help lists the options)"), kUsage);
  } catch (const UsageError& e) {
    return complain(e.what(), kUsage);
  } catch (const Interrupted&) {
    return complain("stopped", kInterrupted);
  } catch (const std::exception& e) {
    return complain(e.what(), kFailed);
  }
}

}  // namespace
}  // namespace reattn::cli

int main(int argc, char** argv) {
  return reattn::cli::run(argc, argv);
}
