// Sequences to attend to, at once in host memory for the reference and in the device's; what comes out of either.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <vector>

#include "tests/kernels/cuda_fixture.hpp"
#include "tests/kernels/int8_keys.hpp"

namespace reattn::kernels {

struct Shape {
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim;
  int64_t n_tokens, n_global, local_begin;
  int32_t n_recalled;
  DType dtype;
  RopeLayout layout;
  int64_t spare_positions = 0;  // of the table of angles, beyond the scope
  int64_t int8_end = 0;

  int64_t scope() const { return n_global + n_recalled + n_tokens - local_begin; }
};

inline std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "T " << s.n_queries << ", heads " << s.n_heads << "/" << s.n_kv_heads
             << ", head_dim " << s.head_dim << ", n_tokens " << s.n_tokens << ", n_global "
             << s.n_global << ", local_begin " << s.local_begin << ", recalled " << s.n_recalled
             << ", " << dtype_info(s.dtype).name << ", layout " << static_cast<int>(s.layout)
             << ", int8 to " << s.int8_end;
}

constexpr auto kPairs = RopeLayout::kInterleaved;
constexpr auto kHalves = RopeLayout::kHalves;

inline float rounded(float x, DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return reference::half_to_float(reference::float_to_half(x));
    case DType::kBF16:
      return reference::bf16_to_float(reference::float_to_bf16(x));
    default:
      return x;
  }
}

// A cache's keys and values below int8_end once more in int8, in both memories. What the device's pages hold of them in 16 bits
// is poison, and pages of nothing else are missing.
class Int8Twin {
 public:
  Int8Twin(const TwinCache& cache, int64_t n_tokens, int64_t int8_end)
      : keys_(cache.host_pages(), n_tokens), values_(cache.host_pages(), n_tokens) {
    host_pages = keys_.pages();
    host_pages.v8 = values_.table().data();
    reference::quantize_keys({host_pages, 0, int8_end});
    device_pages = cache.device_pages;
    device_pages.k8 = copied(keys_);
    device_pages.v8 = copied(values_);
    device_pages.k = without(cache.device_pages.k, int8_end);
    device_pages.v = without(cache.device_pages.v, int8_end);
  }
  KvPages host_pages, device_pages;

 private:
  void* const* table_of(const std::vector<void*>& pages) {
    tables_.push_back(std::make_unique<DeviceArray<void*>>(pages));
    return tables_.back()->data();
  }
  void* const* copied(const Int8Keys& from) {
    const size_t bytes = Int8Keys::page_bytes(host_pages);
    std::vector<void*> pages;
    for (const void* page : from.table()) {
      const auto* at = static_cast<const unsigned char*>(page);
      memory_.push_back(
          std::make_unique<DeviceArray<unsigned char>>(std::vector<unsigned char>(at, at + bytes)));
      pages.push_back(memory_.back()->data());
    }
    return table_of(pages);
  }
  void* const* without(void* const* table, int64_t int8_end) {
    Stream s;
    std::vector<void*> pages(keys_.table().size());
    cuda_device()->download(s, pages.data(), table, pages.size() * sizeof(void*));
    const auto row = static_cast<size_t>(row_bytes(host_pages.dtype, host_pages.head_dim));
    for (size_t p = 0; p < pages.size(); ++p) {
      const auto first = static_cast<int64_t>(p) * kPageTokens;
      if (first + kPageTokens <= int8_end) {
        pages[p] = nullptr;
      } else if (first < int8_end) {
        const std::vector<unsigned char> poison(static_cast<size_t>(int8_end - first) * row, 0xFF);
        for (int32_t h = 0; h < host_pages.n_kv_heads; ++h) {
          cuda_device()->upload(
              s, static_cast<unsigned char*>(pages[p]) + static_cast<size_t>(h * kPageTokens) * row,
              poison.data(), poison.size());
        }
      }
    }
    return table_of(pages);
  }

  Int8Keys keys_, values_;
  std::vector<std::unique_ptr<DeviceArray<unsigned char>>> memory_;
  std::vector<std::unique_ptr<DeviceArray<void*>>> tables_;
};

// One sequence, in host memory for the reference and in the device's.
class Case {
 public:
  explicit Case(const Shape& s, float key_scale = 1, unsigned seed = 3) : shape(s) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& x, int64_t n, float factor) {
      x.resize(static_cast<size_t>(n));
      for (float& e : x) e = rounded(factor * normal(random), s.dtype);
    };
    fill(q, s.n_queries * s.n_heads * s.head_dim, 1);
    fill(k, s.n_tokens * s.n_kv_heads * s.head_dim, key_scale);
    fill(v, s.n_tokens * s.n_kv_heads * s.head_dim, 1);
    for (int32_t i = 0; i < s.n_recalled; ++i) {  // spread over the middle, ascending
      recalled.push_back(
          static_cast<int32_t>(s.n_global + i * (s.local_begin - s.n_global) / s.n_recalled));
    }
    if (recalled.empty()) recalled.push_back(-1);
    for (int64_t j = 0; j < s.scope() + s.spare_positions; ++j) {
      for (int32_t i = 0; i < s.head_dim / 2; ++i) {
        const double angle = static_cast<double>(j) * std::pow(10000.0, -2.0 * i / s.head_dim);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }

  // To the device, as q, k, v and the rest are now.
  void place() {
    cache = std::make_unique<TwinCache>(shape.dtype, shape.n_kv_heads, shape.head_dim, k, v);
    int8.reset();
    if (shape.int8_end > 0) {
      int8 = std::make_unique<Int8Twin>(*cache, shape.n_tokens, shape.int8_end);
    }
    std::vector<float> padded(q);
    padded.insert(padded.begin(), 1, 0.0f);
    q_odd = std::make_unique<DeviceArray<float>>(padded);
    q_device = std::make_unique<DeviceArray<float>>(q);
    cos_device = std::make_unique<DeviceArray<float>>(cos);
    sin_device = std::make_unique<DeviceArray<float>>(sin);
    recalled_device = std::make_unique<DeviceArray<int32_t>>(recalled);
    n_recalled_device = std::make_unique<DeviceArray<int32_t>>(std::vector{shape.n_recalled});
    out = std::make_unique<DeviceArray<float>>(q.size());
    out->fill_bytes(0xFF);
  }

  AttendArgs host_args() const {
    return {.q = q.data(),
            .n_queries = shape.n_queries,
            .n_heads = shape.n_heads,
            .pages = int8 ? int8->host_pages : cache->host_pages(),
            .n_tokens = shape.n_tokens,
            .n_global = shape.n_global,
            .recalled = recalled.data(),
            .n_recalled = &shape.n_recalled,
            .local_begin = shape.local_begin,
            .rope = {cos.data(), sin.data(), shape.scope() + shape.spare_positions, shape.layout},
            .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim)),
            .out = nullptr,
            .int8_end = shape.int8_end};
  }
  AttendArgs device_args() const {
    AttendArgs a = host_args();
    a.q = q_device->data();
    a.pages = int8 ? int8->device_pages : cache->device_pages;
    a.recalled = recalled_device->data();
    a.n_recalled = n_recalled_device->data();
    a.rope.cos = cos_device->data();
    a.rope.sin = sin_device->data();
    a.out = out->data();
    return a;
  }

  Shape shape;
  std::vector<float> q, k, v, cos, sin;
  std::vector<int32_t> recalled;
  std::unique_ptr<TwinCache> cache;
  std::unique_ptr<Int8Twin> int8;
  std::unique_ptr<DeviceArray<float>> q_device, q_odd, cos_device, sin_device, out;
  std::unique_ptr<DeviceArray<int32_t>> recalled_device, n_recalled_device;
};

inline std::vector<float> on_device(Case& c) {
  Stream s;
  c.place();
  const AttendArgs a = c.device_args();
  cuda_device()->attend(s, {&a, 1});
  return c.out->download();
}

inline std::vector<float> plain(const Case& c) {
  std::vector<float> out(c.q.size(), -7.0f);
  AttendArgs a = c.host_args();
  a.out = out.data();
  reference::attend(a);
  return out;
}

// Values are standard normal. With 16-bit pages the fast kernels round rotated keys, queries and probabilities to the pages'
// type; for others, and for F32 pages, sums are f32 and only their order differs.
inline double tolerance(const Shape& s) {
  const bool fast = s.dtype != DType::kF32 && (s.head_dim == 64 || s.head_dim == 128);
  if (!fast) return 4e-6;                          // measured: 8e-7
  return s.dtype == DType::kBF16 ? 1.6e-2 : 2e-3;  // measured: 9.1e-3 and 1.05e-3
}

// What is not aligned to 16 bytes goes to the general kernel: with it, sizes are compared that the reference is too slow for.
// The case has been placed.
inline std::vector<float> general(Case& c) {
  Stream s;
  AttendArgs a = c.device_args();
  a.q = c.q_odd->data() + 1;
  c.out->fill_bytes(0xFF);
  cuda_device()->attend(s, {&a, 1});
  return c.out->download();
}

inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= most)) most = difference;  // NaN stays
    if (std::isnan(most)) break;
  }
  return most;
}

}  // namespace reattn::kernels
