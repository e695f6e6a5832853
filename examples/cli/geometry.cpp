#include "examples/cli/geometry.hpp"

#include <algorithm>
#include <iterator>

namespace reattn::cli {
namespace {

struct Shape {
  const char* name;
  int64_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_window;
  double rope_freq_base;
  bool tied;
};

// From the models' published configurations.
constexpr Shape kShapes[] = {
    {"smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152, 8192, 100000, true},
    {"llama-3.2-1b", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 500000, true},
    {"llama-3.2-3b", 28, 3072, 24, 8, 128, 8192, 128256, 131072, 500000, true},
    {"llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 500000, false},
    {"mistral-7b-v0.3", 32, 4096, 32, 8, 128, 14336, 32768, 32768, 1000000, false},
};

}  // namespace

std::vector<std::string> geometry_names() {
  std::vector<std::string> names;
  for (const Shape& s : kShapes) names.emplace_back(s.name);
  return names;
}

reattn_geometry geometry(const std::string& name) {
  const Shape& s = *std::find_if(std::begin(kShapes), std::end(kShapes),
                                 [&](const Shape& shape) { return shape.name == name; });
  reattn_geometry g = {};
  g.struct_size = sizeof g;
  g.tied_embeddings = s.tied;
  g.n_layers = s.n_layers;
  g.n_embd = s.n_embd;
  g.n_heads = s.n_heads;
  g.n_kv_heads = s.n_kv_heads;
  g.head_dim = s.head_dim;
  g.n_ff = s.n_ff;
  g.n_vocab = s.n_vocab;
  g.n_window = s.n_window;
  g.rope_freq_base = s.rope_freq_base;
  return g;
}

}  // namespace reattn::cli
