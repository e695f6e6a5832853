// The paged cache of keys (without position) and values of one session, shared between forks page by page.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/device/buffer.hpp"
#include "reattn/kernels/device.hpp"

namespace reattn::cache {

struct Layout {
  int64_t n_layers = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  kernels::DType dtype = kernels::DType::kF16;
  // Keys and values of complete blocks are in int8 alone; those of the last block, and until a step ends those of its tokens, in dtype.
  bool int8_only = false;
  bool int8_keys =
      false;  // the keys of complete blocks of kScaleBlock positions once more, for scoring

  // Keys or values of one layer in one page: [n_kv_heads, kPageTokens, head_dim].
  size_t plane_bytes() const;
  // The int8 keys or values of one layer in one page and their scales (KvPages.k8), padded so that any plane begins at a row.
  size_t int8_plane_bytes() const;
  // kPageTokens tokens of every layer: [n_layers][keys, values][plane], then, with int8 keys but not int8 only,
  // [n_layers][int8 plane].
  size_t native_bytes() const;
  // Beside it, with int8 only: [n_layers][keys, values][int8 plane].
  size_t int8_bytes() const;
  // What a page takes once it is full.
  size_t page_bytes() const { return int8_only ? int8_bytes() : native_bytes(); }
  // What pages take besides while a step of n_rows tokens runs.
  size_t transient_bytes(int64_t n_rows) const {
    return int8_only ? static_cast<size_t>(n_pages(n_rows) + 1) * native_bytes() : 0;
  }
  static int64_t n_pages(int64_t n_tokens);
  bool operator==(const Layout&) const = default;
};

// Throws Error(kUnsupported) where the device keeps no such cache; `of` is what the message begins with.
void check_layout(const kernels::Device& device, const Layout& layout, std::string_view of = "");

// A page is written only by the cache that made it, and by none once it was shared: share() marks every page of both
// sides as shared, and a shared last page is copied before the next token goes into it.
class KvCache {
 public:
  // Throws what check_layout throws.
  KvCache(std::shared_ptr<kernels::Device> device, const Layout& layout);
  KvCache(KvCache&&) noexcept = default;
  KvCache& operator=(KvCache&&) noexcept = default;

  // A second cache with the same content; costs no page.
  KvCache share();
  KvCache share_frozen() const;  // of one that is never written again

  int64_t n_tokens() const { return n_tokens_; }
  const Layout& layout() const { return layout_; }
  int64_t n_pages() const { return static_cast<int64_t>(pages_.size()); }
  int64_t n_shared_pages() const;

  // Makes positions [begin, end) writable: new pages, and a copy of a shared one. begin ≤ n_tokens.
  void reserve(kernels::Stream& stream, int64_t begin, int64_t end);
  // The first n tokens count from now on; they have been written.
  void commit(int64_t n);
  // Forgets all from token n on, and gives back pages that hold nothing else. With int8 only, a block that is cut goes on from
  // what int8 kept of it.
  void truncate(int64_t n);
  // Gives back pages beyond the committed tokens.
  void drop_uncommitted() { truncate(n_tokens_); }

  kernels::KvPages pages(int64_t layer) const;
  // Makes the int8 keys of all layers from the keys of the first n tokens, which are in the pages.
  void quantize_keys(kernels::Stream& stream, int64_t n);

  // Device memory of page `page`, as Layout tells it. With int8 only, full pages have no native memory.
  std::byte* page_memory(int64_t page) const { return memory(page).native->as<std::byte>(); }
  std::byte* int8_memory(int64_t page) const { return memory(page).int8->as<std::byte>(); }
  uint64_t bytes() const;  // of all pages
  void download(void* to_host, const void* from_page, size_t bytes) const;

 private:
  void upload_table(kernels::Stream& stream);
  int64_t tables_per_layer() const { return layout_.int8_only ? 4 : layout_.int8_keys ? 3 : 2; }

  struct Page {
    std::shared_ptr<device::Buffer> native, int8;
  };
  const Page& memory(int64_t page) const { return pages_[static_cast<size_t>(page)]; }
  Page copy(kernels::Stream& stream, const Page& from) const;
  void restore_rows(int64_t begin, int64_t end);

  std::shared_ptr<kernels::Device> device_;
  Layout layout_;
  int64_t n_tokens_ = 0;
  std::vector<Page> pages_;
  int64_t first_owned_ = 0;  // pages before it are shared
  device::Buffer table_;     // void* [n_layers][keys, values, int8 keys, int8 values][table_pages_]
  int64_t table_pages_ = 0;
  bool table_stale_ = false;  // pages_ changed since the last upload, which may have failed
};

}  // namespace reattn::cache
