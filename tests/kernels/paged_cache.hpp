// A paged cache in test memory. Pages end exactly at their last element, so that reads past them are found.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels {

class PagedCache {
 public:
  // k and v: [n_tokens, n_kv_heads, head_dim]
  PagedCache(DType dtype, int32_t n_kv_heads, int32_t head_dim, const std::vector<float>& k,
             const std::vector<float>& v) {
    const int64_t n_tokens = static_cast<int64_t>(k.size()) / (n_kv_heads * head_dim);
    const auto page_bytes =
        static_cast<size_t>(row_bytes(dtype, kPageTokens * n_kv_heads * head_dim));
    for (int64_t t = 0; t < n_tokens; t += kPageTokens) {
      for (auto* table : {&k_, &v_}) {
        memory_.push_back(std::make_unique<std::byte[]>(page_bytes));
        table->push_back(memory_.back().get());
      }
    }
    pages = {k_.data(), v_.data(), dtype, n_kv_heads, head_dim};
    reference::kv_append({k.data(), v.data(), n_tokens, 0, pages});
  }

  KvPages pages;

 private:
  std::vector<std::unique_ptr<std::byte[]>> memory_;
  std::vector<void*> k_, v_;
};

}  // namespace reattn::kernels
