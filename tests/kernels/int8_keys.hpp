// The int8 keys of a cache in test memory, poisoned until they are made.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/int8.hpp"

namespace reattn::kernels {

class Int8Keys {
 public:
  static constexpr int kPoison = 0x85;

  Int8Keys(const KvPages& of, int64_t n_tokens) : pages_(of) {
    for (int64_t t = 0; t < n_tokens; t += kPageTokens) {
      memory_.push_back(std::make_unique<std::byte[]>(page_bytes(of)));
      std::memset(memory_.back().get(), kPoison, page_bytes(of));
      table_.push_back(memory_.back().get());
    }
    pages_.k8 = table_.data();
  }

  static size_t page_bytes(const KvPages& p) {
    return static_cast<size_t>(p.n_kv_heads) * (static_cast<size_t>(kPageTokens * p.head_dim) +
                                                kPageTokens / kScaleBlock * sizeof(float));
  }
  const KvPages& pages() const { return pages_; }  // those given, with int8 keys
  const std::vector<void*>& table() const { return table_; }
  bool untouched_from(int64_t begin) const {
    for (int64_t t = begin; t < static_cast<int64_t>(table_.size()) * kPageTokens; ++t) {
      for (int32_t head = 0; head < pages_.n_kv_heads; ++head) {
        const int8_t* row =
            reference::int8_page(pages_, t) + reference::row_offset(pages_, head, t);
        if (std::any_of(row, row + pages_.head_dim,
                        [](int8_t x) { return x != static_cast<int8_t>(kPoison); })) {
          return false;
        }
      }
    }
    return true;
  }

 private:
  std::vector<std::unique_ptr<std::byte[]>> memory_;
  std::vector<void*> table_;
  KvPages pages_;
};

}  // namespace reattn::kernels
