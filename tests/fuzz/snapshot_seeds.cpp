// Writes the snapshots that fuzzing starts from: snapshot_seeds DIRECTORY.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/snapshot_case.hpp"

int main(int argc, char** argv) try {
  if (argc != 2) return std::fprintf(stderr, "usage: snapshot_seeds DIRECTORY\n"), 2;
  using namespace reattn;
  const auto device = std::make_shared<test::HostMemory>();
  using kernels::DType;
  struct Kind {
    const char* name;
    DType dtype;
    select::Scoring scoring;
    bool int8_cache;
  };
  for (const Kind& kind : {Kind{"f32", DType::kF32, select::Scoring::kNative, false},
                           Kind{"f16", DType::kF16, select::Scoring::kNative, false},
                           Kind{"f16_int8_keys", DType::kF16, select::Scoring::kInt8, false},
                           Kind{"int8", DType::kF16, select::Scoring::kInt8, true}}) {
    for (const int n_tokens : {0, 3, 513}) {
      const cache::Layout layout{.n_layers = test::kIdentity.n_layers,
                                 .n_kv_heads = test::kIdentity.n_kv_heads,
                                 .head_dim = test::kIdentity.head_dim,
                                 .dtype = kind.dtype,
                                 .int8_only = kind.int8_cache,
                                 .int8_keys = kind.scoring == select::Scoring::kInt8};
      cache::Snapshot s{.identity = test::kIdentity,
                        .settings = {},
                        .ids = std::vector<int32_t>(static_cast<size_t>(n_tokens), 5),
                        .logprobs = std::vector<float>(static_cast<size_t>(n_tokens), -1.0f),
                        .logits = {},
                        .cache = cache::KvCache(device, layout)};
      s.settings.kv_dtype = kind.dtype;
      s.settings.scoring = kind.scoring;
      s.settings.int8_cache = kind.int8_cache;
      if (n_tokens > 0) s.logits.assign(static_cast<size_t>(test::kIdentity.n_vocab), 0.5f);
      kernels::Stream stream;
      s.cache.reserve(stream, 0, n_tokens);
      s.cache.commit(n_tokens);
      // The fuzzer's inputs begin with a byte that says what it repairs.
      const std::string path =
          std::string(argv[1]) + "/" + std::to_string(n_tokens) + "_" + kind.name;
      cache::save(s, path);
      std::ifstream in(path, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      std::ofstream(path, std::ios::binary | std::ios::trunc) << '\3' << bytes;
    }
  }
  return 0;
} catch (const std::exception& e) {
  return std::fprintf(stderr, "snapshot_seeds: %s\n", e.what()), 1;
}
