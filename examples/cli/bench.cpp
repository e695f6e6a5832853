// reattn bench: speed of reading and generating, and the memory it took.
#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "examples/cli/commands.hpp"
#include "examples/cli/interrupt.hpp"
#include "examples/cli/requests.hpp"

namespace reattn::cli {
namespace {

struct BenchArgs {
  ModelArgs model;
  MethodArgs method;
  std::vector<int64_t> lengths = {4096, 32768};
  int64_t n_decode = 64;
  int64_t n_sessions = 1;
  std::string file;
};

// The same each time, spread over the vocabulary.
Ids made_up_ids(int64_t n, int64_t n_vocab) {
  Ids ids(n);
  uint64_t state = 1;
  for (int32_t& id : ids) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(n_vocab));
  }
  return ids;
}

Ids repeated(const Ids& ids, int64_t n) {
  Ids out(n);
  for (int64_t i = 0; i < n; ++i) out[i] = ids[i % ids.size()];
  return out;
}

// Most memory the process has held, in bytes; -1 where the system does not say.
int64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return -1;
}

// Forgets the peak, so that each length shows its own; where that is not allowed, peaks only grow.
void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << 5;
}

double per_second(int64_t n, double seconds) {
  return seconds > 0 ? static_cast<double>(n) / seconds : 0;
}

struct Decoded {
  int64_t n_tokens = 0;  // of each session
  double seconds = 0;
};

Decoded decode_one(reattn_session* session, const reattn_request_options& options) {
  const Request request = create_request(session, options);
  if (drain(request.get(), {}) == REATTN_DONE_CANCELLED) throw Interrupted();
  const reattn_request_stats s = stats(request.get());
  return {s.n_decode_tokens, s.decode_seconds};
}

// Forks of the session generate at once. The same seconds serve all of them.
Decoded decode_together(const reattn_model* model, reattn_session* session, int64_t n_sessions,
                        const reattn_request_options& options) {
  const Queue queue = create_queue(model);
  std::vector<Request> requests;
  for (int64_t i = 0; i < n_sessions; ++i) {
    requests.push_back(create_request(fork(session).get(), options));
    add(queue.get(), requests.back().get(), static_cast<uint64_t>(i));
  }
  const auto start = std::chrono::steady_clock::now();
  drain(queue.get());
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return {stats(requests.front().get()).n_decode_tokens, taken.count()};
}

Json bench_length(const BenchArgs& args, const reattn_model* model, const Ids& ids) {
  const reattn_session_options method = args.method.resolve(model, nullptr);
  const auto n_tokens = static_cast<int64_t>(ids.size());
  const Session session = create_session(model, nullptr, method);
  append(session.get(), ids);
  const reattn_request_stats read = stats(read_with_progress(session.get()).get());
  reattn_request_options decode_options = request_options();
  decode_options.max_tokens = args.n_decode;
  decode_options.ignore_end = 1;
  Decoded decoded;
  if (args.n_decode > 0) {
    decoded = args.n_sessions == 1
                  ? decode_one(session.get(), decode_options)
                  : decode_together(model, session.get(), args.n_sessions, decode_options);
  }
  const reattn_model_info info = model_info(model);
  const reattn_device_info device = device_info(info);
  // Random weights: the speed is that of any weights, the tokens mean nothing.
  const Json model_name = args.model.geometry.empty()
                              ? Json{{"file", args.model.path}}
                              : Json{{"geometry", args.model.geometry}, {"weights", "random"}};
  return {
      {"model", model_name},
      {"weights", weights_name(info)},
      {"length", n_tokens},
      {"prefill_seconds", read.prefill_seconds},
      {"prefill_tokens_per_second", per_second(read.n_prefill_tokens, read.prefill_seconds)},
      {"sessions", args.n_sessions},
      {"n_decode", decoded.n_tokens},
      {"decode_seconds", decoded.seconds},
      {"decode_tokens_per_second", per_second(args.n_sessions * decoded.n_tokens, decoded.seconds)},
      {"decode_tokens_per_second_each", per_second(decoded.n_tokens, decoded.seconds)},
      {"peak_bytes", peak_bytes()},
      {"plan", to_json(estimate(model, method, n_tokens + args.n_decode))},
      {"method", to_json(method)},
      {"device", device.name},
      {"instructions", device.instructions},
      {"n_threads", args.model.n_threads > 0 ? args.model.n_threads : device.n_threads}};
}

void bench(const BenchArgs& args) {
  const Model model = open_model(args.model);
  Ids text;
  if (!args.file.empty()) {
    text = naming(args.file, [&] { return tokenize(model.get(), read_file(args.file), false); });
    if (text.empty()) throw std::runtime_error(args.file + ": the document is empty");
  }
  for (const int64_t length : args.lengths) {
    reset_peak();
    const Ids ids = text.empty() ? made_up_ids(length, model_info(model.get()).n_vocab)
                                 : repeated(text, length);
    write_out(bench_length(args, model.get(), ids).dump() + "\n");
  }
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  const auto args = std::make_shared<BenchArgs>();
  CLI::App* command = app.add_subcommand("bench", "speed and memory, as JSON lines");
  args->model.add_to(*command);
  args->model.add_geometry_to(*command);
  command->add_option("--lengths", args->lengths, "tokens to read, e.g. 4096,32768")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{1}, int64_t{INT32_MAX}))
      ->capture_default_str();
  command->add_option("--decode", args->n_decode, "tokens to generate after each length")
      ->check(CLI::Range(int64_t{0}, int64_t{INT32_MAX}))
      ->capture_default_str();
  command
      ->add_option("--sessions", args->n_sessions,
                   "forks of the read session that generate together, in a queue")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  command->add_option("--file", args->file,
                      "text to read, over and over; without it made-up tokens");
  args->method.add_to(*command);
  command->callback([args, &action] {
    if (args->model.path.empty() && args->model.geometry.empty()) {
      throw CLI::RequiredError("MODEL or --geometry");
    }
    action = [args] { bench(*args); };
  });
}

}  // namespace reattn::cli
