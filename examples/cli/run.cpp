// reattn run: answers questions about a document.
#include <CLI/CLI.hpp>
#include <memory>

#include "examples/cli/commands.hpp"
#include "examples/cli/interrupt.hpp"
#include "examples/cli/passages.hpp"
#include "examples/cli/requests.hpp"

namespace reattn::cli {
namespace {

struct RunArgs {
  ModelArgs model;
  DocumentArgs document;
  MethodArgs method;
  SamplingArgs sampling;
  std::vector<std::string> prompts;
  std::string answer_prefix;
  size_t n_passages = 0;
};

void answer_prompts(const RunArgs& args, const reattn_model* model, reattn_session* document,
                    const PromptFormat& format) {
  const int64_t n_layers = model_info(model).n_layers;
  const bool several = args.prompts.size() > 1;
  for (const std::string& prompt : args.prompts) {
    const Session session = fork(document);
    append(session.get(), format.question(session.get(), format.place_of(session.get()), prompt,
                                          args.answer_prefix));
    if (several) write_out("> " + prompt + "\n");
    const Answer answer = write_answer(session.get(), args.sampling, args.answer_prefix);
    if (answer.reason == REATTN_DONE_CANCELLED) throw Interrupted();
    if (args.n_passages > 0) {
      write_passages(answer.request.get(), session.get(), n_layers, args.n_passages);
    }
    if (several) write_out("\n");
  }
}

void run(const RunArgs& args) {
  for (const std::string& prompt : args.prompts) {
    if (prompt.empty()) throw UsageError("--prompt: the text is empty");
  }
  const Model model = open_model(args.model);
  const PromptFormat format(model.get(), args.document.raw, args.document.system);
  const bool chats = args.prompts.empty() && args.document.save.empty();
  const Session session = open_document(model.get(), args.document, args.method, format, chats);
  if (chats) {
    chat(model.get(), session.get(), format, {args.sampling, args.answer_prefix, args.n_passages});
  } else {
    answer_prompts(args, model.get(), session.get(), format);
  }
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  const auto args = std::make_shared<RunArgs>();
  CLI::App* command = app.add_subcommand("run", "answer questions about a document, or chat");
  args->model.add_to(*command);
  command
      ->add_option("--prompt", args->prompts,
                   "question; repeat it to ask more of the same document (without: a chat)")
      ->allow_extra_args(false);
  command->add_option("--answer-prefix", args->answer_prefix, "how each answer begins");
  command->add_flag("--show-recalled{5}", args->n_passages,
                    "after each answer, the passages that were recalled (=N: how many)");
  args->document.add_to(*command);
  args->sampling.add_to(*command);
  args->method.add_to(*command);
  command->callback([args, &action] { action = [args] { run(*args); }; });
}

}  // namespace reattn::cli
