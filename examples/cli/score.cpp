// reattn score: how likely the model finds given answers, token by token.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "examples/cli/commands.hpp"
#include "examples/cli/requests.hpp"

namespace reattn::cli {
namespace {

struct Question {
  std::string prompt, answer;
};

struct ScoreArgs {
  ModelArgs model;
  DocumentArgs document;
  MethodArgs method;
  std::string prompt, answer, answer_prefix, question_file;
};

std::vector<Question> questions(const ScoreArgs& args) {
  if (args.question_file.empty()) return {{args.prompt, args.answer}};
  std::vector<Question> out;
  std::istringstream lines(read_file(args.question_file));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      const Json json = Json::parse(line);
      out.push_back({json.at("prompt").get<std::string>(), json.at("answer").get<std::string>()});
    } catch (const nlohmann::json::exception& e) {
      throw std::runtime_error(args.question_file + ", line " + std::to_string(number) + ": " +
                               e.what());
    }
  }
  if (out.empty()) throw std::runtime_error(args.question_file + ": no questions in it");
  return out;
}

Json score(const Question& question, const ScoreArgs& args, const reattn_model* model,
           reattn_session* document, const PromptFormat& format) {
  if (question.prompt.empty()) throw UsageError("the prompt is empty");
  if (question.answer.empty()) throw UsageError("the answer is empty");
  const Session session = fork(document);
  append(session.get(), format.question(session.get(), format.place_of(session.get()),
                                        question.prompt, args.answer_prefix));
  const Ids answer = tokenize(model, question.answer, false);
  // Each by itself, as if it had been generated: a step that recalls anew.
  for (const int32_t token : answer) append(session.get(), {token}, REATTN_APPEND_LOGPROBS);
  read_queued(session.get());
  const int64_t end = session_info(session.get()).n_tokens;
  const auto n_tokens = static_cast<int64_t>(answer.size());
  const std::vector<float> logprobs = session_logprobs(session.get(), end - n_tokens, end);
  const double sum = -std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
  return {{"nll", sum / static_cast<double>(n_tokens)},
          {"sum", sum},
          {"n_tokens", n_tokens},
          {"logprobs", logprobs}};
}

void score_all(const ScoreArgs& args) {
  const std::vector<Question> asked = questions(args);
  const Model model = open_model(args.model);
  const PromptFormat format(model.get(), args.document.raw, args.document.system);
  const Session document = open_document(model.get(), args.document, args.method, format);
  for (const Question& question : asked) {
    write_out(score(question, args, model.get(), document.get(), format).dump() + "\n");
  }
}

}  // namespace

void add_score(CLI::App& app, Action& action) {
  const auto args = std::make_shared<ScoreArgs>();
  CLI::App* command =
      app.add_subcommand("score", "negative log-likelihood of given answers, as JSON lines");
  args->model.add_to(*command);
  auto* prompt = command->add_option("--prompt", args->prompt, "question");
  auto* answer = command->add_option("--answer", args->answer, "its answer");
  auto* file = command->add_option("--question-file", args->question_file,
                                   "questions, one JSON object a line: {\"prompt\", \"answer\"}");
  command->add_option("--answer-prefix", args->answer_prefix,
                      "how each answer begins; not part of what is scored");
  prompt->needs(answer);
  answer->needs(prompt);
  file->excludes(prompt)->excludes(answer);
  args->document.add_to(*command);
  args->method.add_to(*command);
  command->callback([args, &action] {
    if (args->question_file.empty() && (args->prompt.empty() || args->answer.empty())) {
      throw UsageError("score needs --prompt and --answer, neither empty, or --question-file");
    }
    action = [args] { score_all(*args); };
  });
}

}  // namespace reattn::cli
