#include "core/cache/kv_cache.hpp"

#include <algorithm>

namespace reattn::cache {

using kernels::kPageTokens;

size_t Layout::plane_bytes() const {
  return static_cast<size_t>(n_kv_heads * kPageTokens * kernels::row_bytes(dtype, head_dim));
}

size_t Layout::page_bytes() const {
  return static_cast<size_t>(2 * n_layers) * plane_bytes();
}

int64_t Layout::n_pages(int64_t n_tokens) {
  return (n_tokens + kPageTokens - 1) / kPageTokens;
}

void check_type(const kernels::Device& device, kernels::DType dtype, std::string_view of) {
  if (device.holds(dtype)) return;
  fail(ErrorCode::kUnsupported, of, "kv_dtype is ", kernels::dtype_info(dtype).name,
       ", the device '", device.info().kind, "' keeps caches in F32 and F16 only");
}

KvCache::KvCache(std::shared_ptr<kernels::Device> device, const Layout& layout)
    : device_(std::move(device)), layout_(layout) {
  check_type(*device_, layout.dtype);
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
                       [](const auto& p) { return p.use_count() > 1; });
}

void KvCache::reserve(kernels::Stream& stream, int64_t begin, int64_t end) {
  const int64_t first = begin / kPageTokens;
  for (int64_t p = first; p < std::min(first_owned_, n_pages()); ++p) {
    auto copy = std::make_shared<device::Buffer>(device_, layout_.page_bytes());
    device_->copy(stream, copy->as(), pages_[static_cast<size_t>(p)]->as(), layout_.page_bytes());
    pages_[static_cast<size_t>(p)] = std::move(copy);
    table_stale_ = true;
  }
  first_owned_ = std::min(first_owned_, first);
  pages_.reserve(static_cast<size_t>(Layout::n_pages(end)));
  while (n_pages() < Layout::n_pages(end)) {
    pages_.push_back(std::make_shared<device::Buffer>(device_, layout_.page_bytes()));
    table_stale_ = true;
  }
  if (table_stale_) upload_table(stream);
}

void KvCache::upload_table(kernels::Stream& stream) {
  const int64_t n_planes = 2 * layout_.n_layers;
  if (n_pages() > table_pages_) {
    const int64_t room = std::max<int64_t>(16, std::max(n_pages(), 2 * table_pages_));
    table_ = device::Buffer(device_, static_cast<size_t>(n_planes * room) * sizeof(void*));
    table_pages_ = room;
  }
  std::vector<void*> table(static_cast<size_t>(n_planes * table_pages_));
  for (int64_t plane = 0; plane < n_planes; ++plane) {
    for (int64_t p = 0; p < n_pages(); ++p) {
      table[static_cast<size_t>(plane * table_pages_ + p)] =
          page_memory(p) + static_cast<size_t>(plane) * layout_.plane_bytes();
    }
  }
  device_->upload(stream, table_.as(), table.data(), table.size() * sizeof(void*));
  table_stale_ = false;
}

void KvCache::commit(int64_t n) {
  n_tokens_ = n;
}

void KvCache::truncate(int64_t n) {
  n_tokens_ = n;
  pages_.resize(static_cast<size_t>(Layout::n_pages(n)));
  first_owned_ = std::min(first_owned_, n_pages());
}

kernels::KvPages KvCache::pages(int64_t layer) const {
  void** keys = table_.as<void*>() + 2 * layer * table_pages_;
  return {.k = keys,
          .v = keys + table_pages_,
          .dtype = layout_.dtype,
          .n_kv_heads = static_cast<int32_t>(layout_.n_kv_heads),
          .head_dim = static_cast<int32_t>(layout_.head_dim)};
}

std::byte* KvCache::page_memory(int64_t page) const {
  return pages_[static_cast<size_t>(page)]->as<std::byte>();
}

void KvCache::download(void* to_host, const void* from_page, size_t bytes) const {
  kernels::Stream stream;
  device_->download(stream, to_host, from_page, bytes);
}

}  // namespace reattn::cache
