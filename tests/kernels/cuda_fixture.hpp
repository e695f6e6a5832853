// What the tests of the CUDA operations share: the device (tests are skipped without one), arrays and caches in its memory.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/cpu/reference/half.hpp"
#include "kernels/cuda/device/cuda_device.hpp"
#include "tests/kernels/paged_cache.hpp"

namespace reattn::kernels {

// One device for the whole run; null where the machine has none.
inline const std::shared_ptr<Device>& cuda_device() {
  static const std::shared_ptr<Device> device = []() -> std::shared_ptr<Device> {
    try {
      return cuda::make_device(0);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kNoDevice) throw;
      return nullptr;
    }
  }();
  return device;
}

class CudaTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda_device()) GTEST_SKIP() << "no CUDA device";
  }
  Device& device() { return *cuda_device(); }
  Stream stream_;
};

// n elements in device memory.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t n)
      : n_(n), data_(static_cast<T*>(cuda_device()->allocate(n * sizeof(T)))) {}
  explicit DeviceArray(const std::vector<T>& from) : DeviceArray(from.size()) { upload(from); }
  ~DeviceArray() { cuda_device()->release(data_, n_ * sizeof(T)); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  void upload(const std::vector<T>& from) {
    Stream s;
    cuda_device()->upload(s, data_, from.data(), from.size() * sizeof(T));
  }
  std::vector<T> download() const {
    Stream s;
    std::vector<T> out(n_);
    cuda_device()->download(s, out.data(), data_, n_ * sizeof(T));
    return out;
  }
  void fill_bytes(unsigned char value) {
    upload_bytes(std::vector<unsigned char>(n_ * sizeof(T), value));
  }
  T* data() const { return data_; }
  size_t size() const { return n_; }

 private:
  void upload_bytes(const std::vector<unsigned char>& from) {
    Stream s;
    cuda_device()->upload(s, data_, from.data(), from.size());
  }
  size_t n_;
  T* data_;
};

// The same cache twice: in host memory for the reference, and in device memory, pages apart from each other, what lies beyond the
// last token poisoned with NaN.
class TwinCache {
 public:
  // k and v: [n_tokens, n_kv_heads, head_dim]
  TwinCache(DType dtype, int32_t n_kv_heads, int32_t head_dim, const std::vector<float>& k,
            const std::vector<float>& v)
      : host_(dtype, n_kv_heads, head_dim, k, v) {
    const int64_t n_tokens = static_cast<int64_t>(k.size()) / (n_kv_heads * head_dim);
    const int64_t n_pages = (n_tokens + kPageTokens - 1) / kPageTokens;
    const auto page_bytes =
        static_cast<size_t>(row_bytes(dtype, kPageTokens * n_kv_heads * head_dim));
    const auto row = static_cast<size_t>(row_bytes(dtype, head_dim));
    std::vector<void*> tables[2];
    void* const* sources[2] = {host_.pages.k, host_.pages.v};
    for (int which = 0; which < 2; ++which) {
      for (int64_t p = 0; p < n_pages; ++p) {
        std::vector<unsigned char> page(page_bytes);
        std::memcpy(page.data(), sources[which][p], page_bytes);
        for (int32_t h = 0; h < n_kv_heads; ++h) {  // 0xFF…: NaN in every type
          for (int64_t t = std::max<int64_t>(0, n_tokens - p * kPageTokens); t < kPageTokens; ++t) {
            std::memset(
                page.data() + (static_cast<size_t>(h) * kPageTokens + static_cast<size_t>(t)) * row,
                0xFF, row);
          }
        }
        memory_.push_back(std::make_unique<DeviceArray<unsigned char>>(page));
        tables[which].push_back(memory_.back()->data());
      }
    }
    k_.emplace(tables[0]);
    v_.emplace(tables[1]);
    device_pages = {k_->data(), v_->data(), dtype, n_kv_heads, head_dim};
  }

  const KvPages& host_pages() const { return host_.pages; }
  KvPages device_pages{};

 private:
  PagedCache host_;
  std::vector<std::unique_ptr<DeviceArray<unsigned char>>> memory_;
  std::optional<DeviceArray<void*>> k_, v_;
};

}  // namespace reattn::kernels
