// reattn trace: runs a reference case in float32 and prints what it recalled, in the case's form.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "examples/cli/commands.hpp"
#include "examples/cli/interrupt.hpp"
#include "examples/cli/requests.hpp"

namespace reattn::cli {
namespace {

struct TraceArgs {
  ModelArgs model;
  std::string case_path;
  std::string kv = "f32";
};

struct Case {
  Ids tokens;
  std::vector<int64_t> appends;  // lengths
  std::vector<int64_t> layers;   // whose recalled positions are wanted
  reattn_session_options method;
};

Case read_case(const std::string& path, const reattn_model* model) {
  const Json json = Json::parse(read_file(path));
  const Json& config = json.at("config");
  Case c;
  c.tokens = json.at("tokens").get<Ids>();
  const auto n_tokens = static_cast<int64_t>(c.tokens.size());
  c.appends = config.value("appends", std::vector<int64_t>{n_tokens});
  c.layers = config.at("layers").get<std::vector<int64_t>>();
  if (std::any_of(c.appends.begin(), c.appends.end(), [](int64_t n) { return n < 1; }) ||
      std::accumulate(c.appends.begin(), c.appends.end(), int64_t{0}) != n_tokens) {
    throw std::runtime_error("appends do not add up to the " + std::to_string(n_tokens) +
                             " tokens");
  }
  c.method = session_options(model, nullptr);
  c.method.selection = selection_from(config.value("selection", "exact"));
  c.method.scoring = scoring_from(config.value("scoring", "native"));
  c.method.n_global = config.at("n_global").get<int64_t>();
  c.method.n_local = config.at("n_local").get<int64_t>();
  c.method.top_k = config.at("top_k").get<int32_t>();
  c.method.span = config.at("span").get<int32_t>();
  c.method.n_anchors = config.at("n_anchors").get<int32_t>();
  c.method.chunk = config.at("chunk").get<int32_t>();
  c.method.vote_stride = config.value("vote_stride", 1);
  return c;
}

// Collects the results of each step as it is read.
class Recorder {
 public:
  Recorder(const Case& c, const reattn_session* session) : case_(c), session_(session) {}

  void step(const reattn_request* request, int64_t end) {
    const int64_t begin = std::exchange(n_read_, end);
    const bool has_middle = case_.method.selection != REATTN_SELECTION_FULL &&
                            end - case_.method.n_local > case_.method.n_global;
    for (const int64_t layer : case_.layers) {
      if (has_middle) {
        selected_.push_back(
            {{"chunk_start", begin}, {"layer", layer}, {"positions", positions(request, layer)}});
      }
    }
    if (end - begin < 2) return;
    const std::vector<float> logprobs = session_logprobs(session_, begin + 1, end);
    const double sum = std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
    nll_.push_back(-sum / static_cast<double>(logprobs.size()));
  }

  Json result(const reattn_request* request) const {
    const std::vector<float> all = logits(request);
    std::vector<int32_t> best(all.size());
    std::iota(best.begin(), best.end(), 0);
    const size_t n = std::min<size_t>(10, best.size());
    std::partial_sort(best.begin(), best.begin() + n, best.end(), [&](int32_t a, int32_t b) {
      return all[a] != all[b] ? all[a] > all[b] : a < b;
    });
    Json top = Json::array();
    for (size_t i = 0; i < n; ++i) top.push_back({best[i], all[best[i]]});
    return {{"selected", selected_}, {"nll", nll_}, {"top_logits", top}};
  }

 private:
  static std::vector<int64_t> positions(const reattn_request* request, int64_t layer) {
    std::vector<int64_t> out;
    for (const reattn_span& span : recalled(request, layer, REATTN_RECALLED_LAST_STEP)) {
      for (int64_t at = span.begin; at < span.end; ++at) out.push_back(at);
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  const Case& case_;
  const reattn_session* session_;
  int64_t n_read_ = 0;
  Json selected_ = Json::array();
  Json nll_ = Json::array();
};

void trace(const TraceArgs& args) {
  const Model model = open_model(args.model);
  Case c;
  try {
    c = read_case(args.case_path, model.get());
  } catch (const nlohmann::json::exception& e) {
    throw std::runtime_error(args.case_path + ": " + e.what());
  }
  c.method.kv_dtype = kv_type_from(args.kv);
  const Session session = create_session(model.get(), nullptr, c.method);
  auto begin = c.tokens.begin();
  // Each chunk is an append of its own: the same result, and an event for each whatever the device.
  for (int64_t length : c.appends) {
    while (length > 0) {
      const int64_t n = std::min<int64_t>(length, c.method.chunk);
      append(session.get(), Ids(begin, begin + n), REATTN_APPEND_LOGPROBS);
      begin += n;
      length -= n;
    }
  }
  Recorder recorder(c, session.get());
  const Request request = create_request(session.get(), request_options());
  const int32_t reason = drain(request.get(), [&](const reattn_event& event, std::string_view) {
    if (event.kind == REATTN_EVENT_PREFILL) recorder.step(request.get(), event.n_done);
  });
  if (reason == REATTN_DONE_CANCELLED) throw Interrupted();
  write_out(recorder.result(request.get()).dump() + "\n");
}

}  // namespace

void add_trace(CLI::App& app, Action& action) {
  const auto args = std::make_shared<TraceArgs>();
  CLI::App* command =
      app.add_subcommand("trace", "run a reference case and print what it recalls, as JSON");
  args->model.add_to(*command);
  command->add_option("CASE", args->case_path, "case file (JSON)")->required();
  command
      ->add_option("--kv", args->kv, "type of cached keys and values: f32, f16, or on a GPU bf16")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  command->callback([args, &action] { action = [args] { trace(*args); }; });
}

}  // namespace reattn::cli
