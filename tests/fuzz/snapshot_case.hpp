// What snapshot fuzzing is about: one small model's identity, and a device that is nothing but host
// memory.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "core/cache/snapshot.hpp"

namespace reattn::test {

inline constexpr cache::Identity kIdentity{.model = 0x1234,
                                           .tokenizer = 0x5678,
                                           .n_layers = 2,
                                           .n_kv_heads = 1,
                                           .head_dim = 4,
                                           .n_vocab = 8};

class HostMemory final : public kernels::Device {
 public:
  kernels::DeviceInfo info() const override {
    return {.kind = "cpu", .name = "memory", .memory_total = 64 << 20, .memory_free = 64 << 20};
  }
  void* allocate(size_t bytes) override {
    void* memory = std::calloc(1, bytes);
    if (!memory) throw std::bad_alloc();
    return memory;
  }
  void release(void* memory, size_t) noexcept override { std::free(memory); }
  void upload(kernels::Stream&, void* to, const void* from, size_t n) override {
    std::memcpy(to, from, n);
  }
  void download(kernels::Stream&, void* to, const void* from, size_t n) override {
    std::memcpy(to, from, n);
  }
  void copy(kernels::Stream&, void* to, const void* from, size_t n) override {
    std::memcpy(to, from, n);
  }

  bool scores_int8() const override { return true; }
  // What is in a cache does not matter here.
  void quantize_keys(kernels::Stream&, std::span<const kernels::QuantizeKeysArgs>) override {}
  void restore_rows(kernels::Stream&, std::span<const kernels::RestoreRowsArgs>) override {}

  // A snapshot computes nothing else.
  void embed(kernels::Stream&, const kernels::EmbedArgs&) override { std::abort(); }
  void rms_norm(kernels::Stream&, const kernels::RmsNormArgs&) override { std::abort(); }
  void matmul(kernels::Stream&, const kernels::MatmulArgs&) override { std::abort(); }
  void swiglu(kernels::Stream&, const kernels::SwigluArgs&) override { std::abort(); }
  void geglu(kernels::Stream&, const kernels::SwigluArgs&) override { std::abort(); }
  void kv_append(kernels::Stream&, std::span<const kernels::KvAppendArgs>) override {
    std::abort();
  }
  void score(kernels::Stream&, std::span<const kernels::ScoreArgs>) override { std::abort(); }
  void vote(kernels::Stream&, std::span<const kernels::VoteArgs>) override { std::abort(); }
  void expand(kernels::Stream&, std::span<const kernels::ExpandArgs>) override { std::abort(); }
  void attend(kernels::Stream&, std::span<const kernels::AttendArgs>) override { std::abort(); }
  void sample(kernels::Stream&, const kernels::SampleArgs&) override { std::abort(); }
  void logprob(kernels::Stream&, const kernels::LogprobArgs&) override { std::abort(); }
};

}  // namespace reattn::test
