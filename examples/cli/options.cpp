#include "examples/cli/options.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "examples/cli/geometry.hpp"
#include "examples/cli/interrupt.hpp"

namespace reattn::cli {
namespace {

constexpr const char* kSelections[] = {"full", "exact", "block1"};  // by REATTN_SELECTION_*
constexpr const char* kScorings[] = {"native", "int8"};             // by REATTN_SCORING_*
constexpr const char* kWeights[] = {"auto", "fp8"};                 // by REATTN_WEIGHTS_*
constexpr const char* kKvTypes[] = {"f32", "f16", "bf16", "int8"};  // by REATTN_KV_*

template <size_t n>
int32_t index_of(const char* const (&names)[n], const std::string& name) {
  for (size_t i = 0; i < n; ++i) {
    if (name == names[i]) return static_cast<int32_t>(i);
  }
  throw UsageError("unknown name \"" + name + "\"");
}

template <class T, class U>
void replace(T& value, const std::optional<U>& by) {
  if (by) value = *by;
}

// Small local and recalled parts do better on small models than the published settings, and read
// faster: a scope of 3/8 of the window, a third of it local.
void apply_preset(const std::string& name, int64_t n_window, bool to_snapshot,
                  reattn_session_options& o) {
  if (!to_snapshot) {
    o.n_global = std::min<int64_t>(32, n_window / 16);
    o.chunk = static_cast<int32_t>(std::clamp<int64_t>(n_window / 8, 1, 512));
  }
  o.n_local = std::max<int64_t>({1, n_window / 8, o.chunk});
  o.span = 32;
  o.top_k = 4;
  const int64_t rest = n_window * 3 / 8 - o.n_global - o.n_local;
  o.n_anchors = static_cast<int32_t>(std::max<int64_t>(0, rest / o.span));
  o.vote_stride = name == "fast" ? 4 : 1;
}

}  // namespace

void ModelArgs::add_to(CLI::App& app) {
  app.add_option("MODEL", path, "model: a GGUF file, or a folder with safetensors")->required();
  app.add_option("--device", device, "where to compute: auto, cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--device-index", device_index, "which CUDA device, from 0")
      ->check(CLI::Range(int32_t{0}, INT32_MAX))
      ->capture_default_str();
  app.add_option("--threads", n_threads, "CPU threads; 0: as many as the process may use")
      ->check(CLI::Range(int32_t{0}, INT32_MAX))
      ->capture_default_str();
  app.add_option("--weights", weights, "what they are held in: auto, or on a GPU fp8 (8 bits)")
      ->check(CLI::IsMember({"auto", "fp8"}))
      ->capture_default_str();
  app.add_flag("-v,--verbose", verbose, "write what the library decides to standard error");
}

void ModelArgs::add_geometry_to(CLI::App& app) {
  CLI::Option* model = app.get_option("MODEL")->required(false);
  app.add_option("--geometry", geometry,
                 "instead of a file: random weights in the shape of this model")
      ->check(CLI::IsMember(geometry_names()))
      ->excludes(model);
}

Model open_model(const ModelArgs& args, bool header_only) {
  reattn_model_options options;
  call([&](reattn_error** e) { return reattn_model_options_init(&options, sizeof options, e); });
  options.device = args.device == "cpu"    ? REATTN_DEVICE_CPU
                   : args.device == "cuda" ? REATTN_DEVICE_CUDA
                                           : REATTN_DEVICE_AUTO;
  options.device_index = args.device_index;
  options.n_threads = args.n_threads;
  options.header_only = header_only;
  options.weights = index_of(kWeights, args.weights);
  reattn_model* handle = nullptr;
  {
    const NoInterruptsForNewThreads quiet;
    call([&](reattn_error** e) {
      if (args.geometry.empty()) {
        return reattn_model_open(bytes(args.path), args.path.size(), &options, &handle, e);
      }
      const reattn_geometry shape = geometry(args.geometry);
      return reattn_model_synthesize(&shape, &options, &handle, e);
    });
  }
  Model model(handle);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  for (bool drawn = false;;) {
    reattn_load_progress progress = {};
    progress.struct_size = sizeof progress;
    const reattn_status status =
        call([&](reattn_error** e) { return reattn_model_wait(model.get(), 100, &progress, e); });
    if (status != REATTN_TIMEOUT) {
      if (drawn) std::fputs("\r\033[K", stderr);
      break;
    }
    if (interrupted()) throw Interrupted();
    if (terminal && progress.bytes_total > 0) {
      drawn = true;
      std::fprintf(stderr, "\rloading the model %3.0f %%",
                   100.0 * static_cast<double>(progress.bytes_done) /
                       static_cast<double>(progress.bytes_total));
    }
  }
  for (std::string line; next_log_line(line);) {
    if (args.verbose) std::fprintf(stderr, "%s\n", line.c_str());
  }
  return model;
}

void MethodArgs::add_to(CLI::App& app) {
  const std::string group = "Method";
  app.add_option("--preset", preset, "exact (default), or fast: every 4th token votes")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->group(group);
  app.add_option("--n-global", n_global, "first tokens, always attended to")->group(group);
  app.add_option("--n-local", n_local, "last tokens, always attended to")->group(group);
  app.add_option("--n-anchors", n_anchors, "passages recalled in each step; 0: none")->group(group);
  app.add_option("--span", span, "tokens of a passage")->group(group);
  app.add_option("--recall-top-k", top_k, "votes of each token and head, 1 to 16")->group(group);
  app.add_option("--vote-stride", vote_stride, "every n-th new token votes")->group(group);
  app.add_option("--chunk", chunk, "tokens read in one step")->group(group);
  app.add_option("--selection", selection, "full (no recall), exact or block1")
      ->check(CLI::IsMember({"full", "exact", "block1"}))
      ->group(group);
  app.add_option("--kv", kv, "type of cached keys and values: f32, f16, int8, or on a GPU bf16")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "int8"}))
      ->group(group);
  app.add_option("--scoring", scoring, "how passages are looked for: native or int8")
      ->check(CLI::IsMember({"native", "int8"}))
      ->group(group);
}

reattn_session_options MethodArgs::resolve(const reattn_model* model,
                                           const reattn_cache* cache) const {
  reattn_session_options o = session_options(model, cache);
  if (cache == nullptr || preset) {
    apply_preset(preset.value_or("exact"), model_info(model).n_window, cache != nullptr, o);
  }
  replace(o.n_global, n_global);
  replace(o.n_local, n_local);
  replace(o.top_k, top_k);
  replace(o.span, span);
  replace(o.n_anchors, n_anchors);
  replace(o.vote_stride, vote_stride);
  if (selection) o.selection = selection_from(*selection);
  if (kv) o.kv_dtype = kv_type_from(*kv);
  if (scoring) o.scoring = scoring_from(*scoring);
  if (chunk) {
    o.chunk = *chunk;
  } else if (cache == nullptr && n_local && *n_local >= 1) {
    o.chunk = static_cast<int32_t>(std::min<int64_t>(o.chunk, *n_local));
  }
  return o;
}

int32_t selection_from(const std::string& name) {
  return index_of(kSelections, name);
}

int32_t kv_type_from(const std::string& name) {
  return index_of(kKvTypes, name);
}

std::string weights_name(const reattn_model_info& info) {
  return kWeights[info.weights];
}

int32_t scoring_from(const std::string& name) {
  return index_of(kScorings, name);
}

int64_t scope(const reattn_session_options& o) {
  return o.n_global + int64_t{o.n_anchors} * o.span + o.n_local;
}

Json to_json(const reattn_session_options& o) {
  return {{"selection", kSelections[o.selection]},
          {"n_global", o.n_global},
          {"n_local", o.n_local},
          {"n_anchors", o.n_anchors},
          {"span", o.span},
          {"top_k", o.top_k},
          {"vote_stride", o.vote_stride},
          {"chunk", o.chunk},
          {"kv", kKvTypes[o.kv_dtype]},
          {"scoring", kScorings[o.scoring]}};
}

Json to_json(const reattn_memory_plan& plan) {
  return {{"weights_bytes", plan.weights_bytes}, {"kv_bytes", plan.kv_bytes},
          {"working_bytes", plan.working_bytes}, {"total_bytes", plan.total_bytes},
          {"memory_free", plan.memory_free},     {"fits", plan.fits != 0}};
}

void SamplingArgs::add_to(CLI::App& app) {
  options = request_options();
  options.max_tokens = 256;
  const std::string group = "Answer";
  app.add_option("--max-tokens", options.max_tokens, "tokens of an answer at most")
      ->check(CLI::Range(int64_t{1}, int64_t{INT32_MAX}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--temperature", options.temperature, "0: always the most likely token")
      ->capture_default_str()
      ->group(group);
  app.add_option("--top-k", options.top_k, "among the k most likely tokens; 0: off")
      ->capture_default_str()
      ->group(group);
  app.add_option("--top-p", options.top_p, "among the most likely that sum up to p; 1: off")
      ->capture_default_str()
      ->group(group);
  app.add_option("--min-p", options.min_p, "among those p times as likely as the best; 0: off")
      ->capture_default_str()
      ->group(group);
  app.add_option("--repetition-penalty", options.repetition_penalty,
                 "divide logits of repeated tokens by it; 1: off")
      ->capture_default_str()
      ->group(group);
  app.add_option("--repetition-window", options.repetition_window,
                 "tokens that count as repeated: so many last ones; 0: all")
      ->capture_default_str()
      ->group(group);
  app.add_option("--seed", options.seed, "same input and seed: same answer")
      ->capture_default_str()
      ->group(group);
  app.add_option("--stop", stops, "end the answer at this text (repeat for more)")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--json-schema", schema_path, "file with the JSON schema that answers must meet")
      ->group(group);
}

Request SamplingArgs::start(reattn_session* session) const {
  Request request = create_request(session, options);
  for (const std::string& stop : stops) add_stop(request.get(), stop);
  if (!schema_path.empty()) set_json_schema(request.get(), read_file(schema_path));
  return request;
}

std::string read_file(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{1} << 30;  // what the library takes as one text
  const auto fail = [&] {
    throw std::runtime_error(path + ": cannot be read: " + std::strerror(errno));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file) fail();
  std::string text;
  std::vector<char> block(1 << 16);
  while (const size_t n = std::fread(block.data(), 1, block.size(), file.get())) {
    text.append(block.data(), n);
    if (text.size() > kMaxBytes) throw std::runtime_error(path + ": is longer than 1 GiB");
  }
  if (std::ferror(file.get()) != 0) fail();
  return text;
}

std::string grouped(int64_t n) {
  std::string digits = std::to_string(n);
  const int64_t first = n < 0 ? 1 : 0;
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(at, ",");
  }
  return digits;
}

}  // namespace reattn::cli
