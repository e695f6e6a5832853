// A read document on its own: tokens, cache pages, last logits and the settings it was read with; in memory or in a file.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/cache/kv_cache.hpp"
#include "core/select/settings.hpp"

namespace reattn::cache {

// Whose pages they are: a snapshot fits exactly one model, tokenizer and cache layout.
struct Identity {
  uint64_t model = 0;  // header and every tensor's bytes
  uint64_t tokenizer = 0;
  int64_t n_layers = 0, n_kv_heads = 0, head_dim = 0, n_vocab = 0;
  bool operator==(const Identity&) const = default;
};

Layout layout_of(int64_t n_layers, int64_t n_kv_heads, int64_t head_dim,
                 const select::Settings& settings);

struct Snapshot {
  Identity identity;
  select::Settings settings;
  std::vector<int32_t> ids;
  std::vector<float> logprobs;  // beside ids
  std::vector<float> logits;    // [n_vocab]; empty: not known
  KvCache cache;                // shares pages; never written through a snapshot
};

// Written beside the target, fsynced and renamed: the old file or the new one, whole. Throws Error(kIo).
void save(const Snapshot& snapshot, const std::string& path);

// Everything is read and checked before anything is handed out. `expected` is the model that asks.
// Throws Error: kIo, kFormat (damaged, naming the part), kMismatch (another model, tokenizer or layout), kUnsupported
// (version, or a cache type or scoring that the device has not), kOomHost, kOomDevice.
std::shared_ptr<const Snapshot> open(const std::string& path, const Identity& expected,
                                     std::shared_ptr<kernels::Device> device);

}  // namespace reattn::cache
