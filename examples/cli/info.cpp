// reattn info: what a model is and what reading with it would take, from its header alone.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "examples/cli/commands.hpp"
#include "examples/cli/requests.hpp"

namespace reattn::cli {
namespace {

struct InfoArgs {
  ModelArgs model;
  MethodArgs method;
  int64_t n_tokens = 32768;
  bool json = false;
};

std::string metadata_value(const reattn_model* model, const reattn_model_info& info,
                           std::string_view wanted) {
  for (int64_t i = 0; i < info.n_metadata; ++i) {
    std::string key(256, '\0'), value(256, '\0');
    uint64_t n_key = 0, n_value = 0;
    for (;;) {
      reattn_error* error = nullptr;
      const reattn_status status = reattn_model_metadata(
          model, i, reinterpret_cast<uint8_t*>(key.data()), key.size(), &n_key,
          reinterpret_cast<uint8_t*>(value.data()), value.size(), &n_value, &error);
      if (status < 0 && status != REATTN_E_BUFFER) throw_error(status, error);
      reattn_error_free(error);
      key.resize(n_key);
      value.resize(n_value);
      if (status >= 0) break;
    }
    if (key == wanted) return value;
  }
  return {};
}

Json describe(const InfoArgs& args) {
  const Model model = open_model(args.model, true);
  const reattn_model_info info = model_info(model.get());
  const reattn_session_options method = args.method.resolve(model.get(), nullptr);
  Json memory = to_json(estimate(model.get(), method, args.n_tokens));
  memory["n_tokens"] = args.n_tokens;
  Json settings = to_json(method);
  settings["scope"] = scope(method);
  return {{"model",
           {{"path", args.model.path},
            {"name", metadata_value(model.get(), info, "general.name")},
            {"architecture", metadata_value(model.get(), info, "general.architecture")},
            {"n_layers", info.n_layers},
            {"n_embd", info.n_embd},
            {"n_heads", info.n_heads},
            {"n_kv_heads", info.n_kv_heads},
            {"head_dim", info.head_dim},
            {"n_ff", info.n_ff},
            {"n_vocab", info.n_vocab},
            {"n_window", info.n_window},
            {"rope_freq_base", info.rope_freq_base},
            {"norm_eps", info.norm_eps},
            {"tied_embeddings", info.tied_embeddings != 0},
            {"weights", weights_name(info)}}},
          {"method", settings},
          {"memory", memory}};
}

std::string text_of(const std::string& key, const Json& value) {
  if (key.ends_with("_bytes") || key == "memory_free") {
    char text[64];
    std::snprintf(text, sizeof text, "%.1f MiB", value.get<double>() / (1 << 20));
    return text;
  }
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer()) return grouped(value.get<int64_t>());
  return value.dump();
}

void print_info(const InfoArgs& args) {
  const Json all = describe(args);
  if (args.json) {
    write_out(all.dump(2) + "\n");
    return;
  }
  for (const auto& [section, fields] : all.items()) {
    write_out(section + "\n");
    for (const auto& [key, value] : fields.items()) {
      write_out("  " + key + std::string(key.size() < 18 ? 18 - key.size() : 1, ' ') +
                text_of(key, value) + "\n");
    }
  }
}

}  // namespace

void add_info(CLI::App& app, Action& action) {
  const auto args = std::make_shared<InfoArgs>();
  CLI::App* command = app.add_subcommand("info", "hyper-parameters, settings and memory needed");
  args->model.add_to(*command);
  command->add_option("--tokens", args->n_tokens, "tokens that the memory plan is for")
      ->check(CLI::Range(int64_t{0}, int64_t{INT32_MAX}))
      ->capture_default_str();
  command->add_flag("--json", args->json, "as JSON, sizes in bytes");
  args->method.add_to(*command);
  command->callback([args, &action] { action = [args] { print_info(*args); }; });
}

}  // namespace reattn::cli
