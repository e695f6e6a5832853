// Option groups that several subcommands share, and what they mean for the C API.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "examples/cli/api.hpp"

namespace CLI {
class App;
}

namespace reattn::cli {

using Json = nlohmann::ordered_json;

// A mistake in the command line that its parser cannot see; exit status 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ModelArgs {
  std::string path;      // empty: the made-up model of `geometry`
  std::string geometry;  // of bench alone
  std::string device = "auto";
  int32_t device_index = 0;
  int32_t n_threads = 0;
  std::string weights = "auto";
  bool verbose = false;

  void add_to(CLI::App& app);
  void add_geometry_to(CLI::App& app);  // instead of a file; after add_to
};

// Opens the model and waits until it is loaded; Ctrl-C ends it with Interrupted.
Model open_model(const ModelArgs& args, bool header_only = false);

// Settings of the method: a preset, and options that each replace one of its values.
struct MethodArgs {
  std::optional<std::string> preset, selection, kv, scoring;
  std::optional<int64_t> n_global, n_local;
  std::optional<int32_t> top_k, span, n_anchors, chunk, vote_stride;

  void add_to(CLI::App& app);
  // cache may be null. From a snapshot, the settings it was read with are what is replaced.
  reattn_session_options resolve(const reattn_model* model, const reattn_cache* cache) const;
};

std::string weights_name(const reattn_model_info& info);  // auto or fp8
int32_t selection_from(const std::string& name);
int32_t kv_type_from(const std::string& name);  // f32, f16, bf16 or int8
int32_t scoring_from(const std::string& name);  // native or int8
Json to_json(const reattn_session_options& options);
Json to_json(const reattn_memory_plan& plan);
int64_t scope(const reattn_session_options& options);

struct SamplingArgs {
  reattn_request_options options = {};
  std::vector<std::string> stops;
  std::string schema_path;  // of --json-schema; empty: none

  void add_to(CLI::App& app);
  Request start(reattn_session* session) const;
};

// The whole file; throws naming it where it cannot be read.
std::string read_file(const std::string& path);

// 32000 as "32,000".
std::string grouped(int64_t n);

}  // namespace reattn::cli
