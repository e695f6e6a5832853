#include "core/cache/kv_cache.hpp"

#include <algorithm>

namespace reattn::cache {

using kernels::kPageTokens;
using kernels::kScaleBlock;

size_t Layout::plane_bytes() const {
  return static_cast<size_t>(n_kv_heads * kPageTokens * kernels::row_bytes(dtype, head_dim));
}

size_t Layout::int8_plane_bytes() const {
  constexpr size_t kAlign = 256;
  const auto bytes = static_cast<size_t>(n_kv_heads * kPageTokens * head_dim) +
                     static_cast<size_t>(n_kv_heads * kPageTokens / kScaleBlock) * sizeof(float);
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

size_t Layout::native_bytes() const {
  const auto n = static_cast<size_t>(n_layers);
  return 2 * n * plane_bytes() + (int8_keys && !int8_only ? n * int8_plane_bytes() : 0);
}

size_t Layout::int8_bytes() const {
  return int8_only ? 2 * static_cast<size_t>(n_layers) * int8_plane_bytes() : 0;
}

int64_t Layout::n_pages(int64_t n_tokens) {
  return (n_tokens + kPageTokens - 1) / kPageTokens;
}

void check_layout(const kernels::Device& device, const Layout& layout, std::string_view of) {
  if (!device.holds(layout.dtype)) {
    fail(ErrorCode::kUnsupported, of, "kv_dtype is ", kernels::dtype_info(layout.dtype).name,
         ", the device '", device.info().kind, "' keeps caches in F32 and F16 only");
  }
  if (layout.int8_keys && !device.scores_int8()) {
    fail(ErrorCode::kUnsupported, of, "scoring is int8, the device '", device.info().kind,
         "' scores natively only");
  }
}

KvCache::KvCache(std::shared_ptr<kernels::Device> device, const Layout& layout)
    : device_(std::move(device)), layout_(layout) {
  check_layout(*device_, layout);
}

KvCache KvCache::share() {
  first_owned_ = n_pages();
  return share_frozen();
}

KvCache KvCache::share_frozen() const {
  KvCache other(device_, layout_);
  other.n_tokens_ = n_tokens_;
  other.pages_ = pages_;
  other.first_owned_ = n_pages();
  other.table_stale_ = true;
  return other;
}

int64_t KvCache::n_shared_pages() const {
  return std::count_if(pages_.begin(), pages_.end(),
                       [](const Page& p) { return (p.int8 ? p.int8 : p.native).use_count() > 1; });
}

uint64_t KvCache::bytes() const {
  uint64_t sum = 0;
  for (const Page& p : pages_) {
    sum += (p.native ? layout_.native_bytes() : 0) + (p.int8 ? layout_.int8_bytes() : 0);
  }
  return sum;
}

KvCache::Page KvCache::copy(kernels::Stream& stream, const Page& from) const {
  const auto copied = [&](const std::shared_ptr<device::Buffer>& buffer, size_t bytes) {
    if (!buffer) return buffer;
    auto out = std::make_shared<device::Buffer>(device_, bytes);
    device_->copy(stream, out->as(), buffer->as(), bytes);
    return out;
  };
  return {copied(from.native, layout_.native_bytes()), copied(from.int8, layout_.int8_bytes())};
}

void KvCache::reserve(kernels::Stream& stream, int64_t begin, int64_t end) {
  const int64_t first = begin / kPageTokens;
  for (int64_t p = first; p < std::min(first_owned_, n_pages()); ++p) {
    pages_[static_cast<size_t>(p)] = copy(stream, memory(p));
    table_stale_ = true;
  }
  first_owned_ = std::min(first_owned_, first);
  const auto buffer = [&](size_t bytes) {
    return std::make_shared<device::Buffer>(device_, bytes);
  };
  pages_.reserve(static_cast<size_t>(Layout::n_pages(end)));
  for (int64_t p = first; p < n_pages(); ++p) {
    if (memory(p).native) continue;
    pages_[static_cast<size_t>(p)].native = buffer(layout_.native_bytes());
    table_stale_ = true;
  }
  while (n_pages() < Layout::n_pages(end)) {
    pages_.push_back({buffer(layout_.native_bytes()),
                      layout_.int8_only ? buffer(layout_.int8_bytes()) : nullptr});
    table_stale_ = true;
  }
  if (table_stale_) upload_table(stream);
}

void KvCache::upload_table(kernels::Stream& stream) {
  const int64_t n_tables = tables_per_layer() * layout_.n_layers;
  if (n_pages() > table_pages_) {
    const int64_t room = std::max<int64_t>(16, std::max(n_pages(), 2 * table_pages_));
    table_ = device::Buffer(device_, static_cast<size_t>(n_tables * room) * sizeof(void*));
    table_pages_ = room;
  }
  std::vector<void*> table(static_cast<size_t>(n_tables * table_pages_));
  const auto put = [&](int64_t row, int64_t page, std::byte* plane) {
    table[static_cast<size_t>(row * table_pages_ + page)] = plane;
  };
  for (int64_t page = 0; page < n_pages(); ++page) {
    std::byte* plane = memory(page).native ? page_memory(page) : nullptr;  // nobody reads null
    std::byte* int8_plane = layout_.int8_only ? int8_memory(page)
                                              : plane + 2 * static_cast<size_t>(layout_.n_layers) *
                                                            layout_.plane_bytes();
    for (int64_t row = 0; row < n_tables;) {
      for (int i = 0; i < 2; ++i) {
        put(row++, page, plane);
        if (plane) plane += layout_.plane_bytes();
      }
      for (int64_t i = 2; i < tables_per_layer(); ++i) {
        put(row++, page, int8_plane);
        int8_plane += layout_.int8_plane_bytes();
      }
    }
  }
  device_->upload(stream, table_.as(), table.data(), table.size() * sizeof(void*));
  table_stale_ = false;
}

void KvCache::commit(int64_t n) {
  n_tokens_ = n;
  if (!layout_.int8_only) return;
  for (int64_t p = n / kPageTokens - 1; p >= 0 && memory(p).native; --p) {
    pages_[static_cast<size_t>(p)].native.reset();  // the table may keep what nobody reads
  }
}

void KvCache::truncate(int64_t n) {
  const int64_t n_complete = kernels::complete_blocks(n_tokens_);
  n_tokens_ = n;
  pages_.resize(static_cast<size_t>(Layout::n_pages(n)));
  first_owned_ = std::min(first_owned_, n_pages());
  if (layout_.int8_only && n < n_complete) restore_rows(kernels::complete_blocks(n), n);
}

void KvCache::restore_rows(int64_t begin, int64_t end) {
  if (begin == end) return;
  kernels::Stream stream;
  reserve(stream, begin, end);
  std::vector<kernels::RestoreRowsArgs> layers;
  for (int64_t layer = 0; layer < layout_.n_layers; ++layer) {
    layers.push_back({pages(layer), begin, end});
  }
  device_->restore_rows(stream, layers);
}

kernels::KvPages KvCache::pages(int64_t layer) const {
  void** keys = table_.as<void*>() + tables_per_layer() * layer * table_pages_;
  return {.k = keys,
          .v = keys + table_pages_,
          .dtype = layout_.dtype,
          .n_kv_heads = static_cast<int32_t>(layout_.n_kv_heads),
          .head_dim = static_cast<int32_t>(layout_.head_dim),
          .k8 = layout_.int8_keys ? keys + 2 * table_pages_ : nullptr,
          .v8 = layout_.int8_only ? keys + 3 * table_pages_ : nullptr};
}

void KvCache::quantize_keys(kernels::Stream& stream, int64_t n) {
  if (!layout_.int8_keys) return;
  std::vector<kernels::QuantizeKeysArgs> layers;
  for (int64_t layer = 0; layer < layout_.n_layers; ++layer) {
    layers.push_back({pages(layer), 0, kernels::complete_blocks(n)});
  }
  device_->quantize_keys(stream, layers);
}

void KvCache::download(void* to_host, const void* from_page, size_t bytes) const {
  kernels::Stream stream;
  device_->download(stream, to_host, from_page, bytes);
}

}  // namespace reattn::cache
