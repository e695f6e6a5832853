// A cache whose positions below int8_end are in int8 alone, in host memory and in device memory: the pages that hold nothing but
// them are missing, their rows of other pages are NaN.
#pragma once

#include <algorithm>
#include <cmath>

#include "tests/kernels/cuda_fixture.hpp"
#include "tests/kernels/int8_keys.hpp"

namespace reattn::kernels {

class Int8Cache {
 public:
  // k and v: [n_tokens, n_kv_heads, head_dim]; int8_end: a multiple of kScaleBlock, at most n_tokens
  Int8Cache(DType dtype, int32_t n_kv_heads, int32_t head_dim, const std::vector<float>& k,
            const std::vector<float>& v, int64_t int8_end)
      : source_(dtype, n_kv_heads, head_dim, k, v),
        native_(dtype, n_kv_heads, head_dim, without(k, int8_end * n_kv_heads * head_dim),
                without(v, int8_end * n_kv_heads * head_dim)),
        keys_(source_.pages, static_cast<int64_t>(k.size()) / (n_kv_heads * head_dim)),
        values_(source_.pages, static_cast<int64_t>(k.size()) / (n_kv_heads * head_dim)) {
    KvPages made = source_.pages;
    made.k8 = keys_.table().data();
    made.v8 = values_.table().data();
    reference::quantize_keys({made, 0, int8_end});
    host_pages = native_.host_pages();
    host_pages.k8 = made.k8;
    host_pages.v8 = made.v8;
    device_pages = native_.device_pages;
    device_pages.k = keep_from(int8_end / kPageTokens, device_pages.k);
    device_pages.v = keep_from(int8_end / kPageTokens, device_pages.v);
    device_pages.k8 = copy(keys_.table());
    device_pages.v8 = copy(values_.table());
  }

  KvPages host_pages{}, device_pages{};

 private:
  static std::vector<float> without(std::vector<float> rows, int64_t n) {
    std::fill(rows.begin(), rows.begin() + n, NAN);
    return rows;
  }
  void* const* table(const std::vector<void*>& pages) {
    tables_.push_back(std::make_unique<DeviceArray<void*>>(pages));
    return tables_.back()->data();
  }
  void* const* keep_from(int64_t page, void* const* of) {
    std::vector<void*> pages(keys_.table().size());
    Stream s;
    cuda_device()->download(s, pages.data(), of, pages.size() * sizeof(void*));
    std::fill(pages.begin(), pages.begin() + page, nullptr);
    return table(pages);
  }
  void* const* copy(const std::vector<void*>& pages) {
    const size_t bytes = Int8Keys::page_bytes(source_.pages);
    std::vector<void*> copies;
    for (const void* page : pages) {
      const auto* from = static_cast<const unsigned char*>(page);
      memory_.push_back(std::make_unique<DeviceArray<unsigned char>>(
          std::vector<unsigned char>(from, from + bytes)));
      copies.push_back(memory_.back()->data());
    }
    return table(copies);
  }

  PagedCache source_;
  TwinCache native_;
  Int8Keys keys_, values_;
  std::vector<std::unique_ptr<DeviceArray<unsigned char>>> memory_;
  std::vector<std::unique_ptr<DeviceArray<void*>>> tables_;
};

}  // namespace reattn::kernels
