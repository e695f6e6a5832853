#include "examples/cli/document.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "examples/cli/interrupt.hpp"
#include "examples/cli/requests.hpp"

namespace reattn::cli {

void DocumentArgs::add_to(CLI::App& app) {
  const std::string group = "Document";
  auto* from_file = app.add_option("--file", file, "document to read (UTF-8 text)");
  auto* from_snapshot =
      app.add_option("--snapshot", snapshot, "document already read, as --save wrote it");
  auto* to_file = app.add_option("--save", save, "write a snapshot of the read document");
  auto* system_message = app.add_option("--system", system, "system message of the chat template");
  auto* without_template =
      app.add_flag("--raw", raw, "texts as they are, without the model's chat template");
  for (auto* option : {from_file, from_snapshot, to_file, system_message, without_template}) {
    option->group(group);
  }
  from_snapshot->excludes(from_file)->excludes(to_file)->excludes(system_message);
  system_message->excludes(without_template);
  to_file->needs(from_file);
}

Session open_document(const reattn_model* model, const DocumentArgs& args, const MethodArgs& method,
                      const PromptFormat& format, bool keep_interrupted) {
  if (!args.snapshot.empty()) {
    const Cache cache = open_cache(model, args.snapshot);
    return create_session(model, cache.get(), method.resolve(model, cache.get()));
  }
  std::string text;
  if (!args.file.empty()) {
    text = read_file(args.file);
    if (text.empty()) throw std::runtime_error(args.file + ": the document is empty");
  }
  Session session = create_session(model, nullptr, method.resolve(model, nullptr));
  if (text.empty()) return session;
  naming(args.file, [&] { append(session.get(), format.document(text)); });
  try {
    read_with_progress(session.get());
  } catch (const Interrupted&) {
    if (!keep_interrupted) throw;
    clear_interrupt();
    std::fprintf(stderr, "reading was stopped after %s tokens\n",
                 grouped(session_info(session.get()).n_tokens).c_str());
    return session;
  }
  if (!args.save.empty()) save_snapshot(session.get(), args.save);
  return session;
}

}  // namespace reattn::cli
