// The file format is docs/snapshot-format.md: a header with its checksum, then blocks, each with its own.
#include "core/cache/snapshot.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <span>

#include "core/base/checked.hpp"
#include "core/device/memory.hpp"
#include "core/io/checksum.hpp"
#include "core/io/file.hpp"

namespace reattn::cache {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

using kernels::kPageTokens;

constexpr std::array<char, 8> kMagic{'R', 'E', 'A', 'T', 'T', 'N', 'S', 'N'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 256;  // its last 8 bytes are the checksum of those before

// Field after field, at ascending offsets.
class HeaderWriter {
 public:
  template <class T>
  void put(const T& value) {
    std::memcpy(&bytes[at_], &value, sizeof value);
    at_ += sizeof value;
  }
  std::array<std::byte, kHeaderBytes> bytes{};

 private:
  size_t at_ = 0;
};

class HeaderReader {
 public:
  explicit HeaderReader(std::span<const std::byte, kHeaderBytes> bytes) : bytes_(bytes) {}
  template <class T>
  T get() {
    T value;
    std::memcpy(&value, &bytes_[at_], sizeof value);
    at_ += sizeof value;
    return value;
  }

 private:
  std::span<const std::byte, kHeaderBytes> bytes_;
  size_t at_ = 0;
};

struct Header {
  Identity identity;
  select::Settings settings;
  uint64_t n_tokens = 0;
  uint32_t has_logits = 0;
  uint32_t int8_cache = 0;
};

// The one order of the fields, for both directions.
template <class Visit>
void visit_fields(Header& h, Visit&& visit) {
  visit(h.identity.model);
  visit(h.identity.tokenizer);
  visit(h.identity.n_layers);
  visit(h.identity.n_kv_heads);
  visit(h.identity.head_dim);
  visit(h.identity.n_vocab);
  select::Settings& s = h.settings;
  visit(s.n_global);
  visit(s.n_local);
  visit(s.max_tokens);
  visit(s.top_k);
  visit(s.span);
  visit(s.n_anchors);
  visit(s.chunk);
  visit(s.vote_stride);
  visit(s.selection);
  visit(s.kv_dtype);
  visit(h.has_logits);
  visit(h.n_tokens);
  visit(s.scoring);
  visit(h.int8_cache);
}

// The rows of one page that hold tokens, packed, each part [n_layers][keys, values][n_kv_heads][...]: with int8 only those of complete
// blocks [n_rows][head_dim] in int8, then their scales [n_blocks]; then the other rows [n_rows][head_dim].
struct PageShape {
  size_t n_planes, n_heads, head_dim, plane_bytes, int8_plane_bytes, row_bytes;
  bool int8_only;
  explicit PageShape(const Layout& l)
      : n_planes(static_cast<size_t>(2 * l.n_layers)),
        n_heads(static_cast<size_t>(l.n_kv_heads)),
        head_dim(static_cast<size_t>(l.head_dim)),
        plane_bytes(l.plane_bytes()),
        int8_plane_bytes(l.int8_plane_bytes()),
        row_bytes(static_cast<size_t>(kernels::row_bytes(l.dtype, l.head_dim))),
        int8_only(l.int8_only) {}

  size_t n_int8_rows(size_t n_rows) const {
    return int8_only ? static_cast<size_t>(kernels::complete_blocks(static_cast<int64_t>(n_rows)))
                     : 0;
  }
  size_t packed_bytes(size_t n_rows) const {
    const size_t n_int8 = n_int8_rows(n_rows);
    return n_planes * n_heads *
           (n_int8 * head_dim + n_int8 / kBlock * sizeof(float) + (n_rows - n_int8) * row_bytes);
  }

  // Calls copy(memory of the run in the page, offset in the packed block, bytes) for each contiguous run.
  template <class Copy>
  void each_run(const KvCache& cache, int64_t page, size_t n_rows, Copy&& copy) const {
    const size_t n_int8 = n_int8_rows(n_rows);
    size_t packed = 0;
    const auto each_head = [&](std::byte* memory, size_t plane, size_t stride, size_t begin,
                               size_t bytes) {
      for (size_t i = 0; bytes > 0 && i < n_planes * n_heads; ++i) {
        copy(memory + i / n_heads * plane + i % n_heads * stride + begin, packed, bytes);
        packed += bytes;
      }
    };
    if (int8_only) {
      constexpr size_t kScales = kPage / kBlock * sizeof(float);  // of one head
      std::byte* memory = cache.int8_memory(page);
      each_head(memory, int8_plane_bytes, kPage * head_dim, 0, n_int8 * head_dim);
      each_head(memory + n_heads * kPage * head_dim, int8_plane_bytes, kScales, 0,
                n_int8 / kBlock * sizeof(float));
    }
    if (n_rows == n_int8) return;
    each_head(cache.page_memory(page), plane_bytes, kPage * row_bytes, n_int8 * row_bytes,
              (n_rows - n_int8) * row_bytes);
  }

 private:
  static constexpr auto kPage = static_cast<size_t>(kPageTokens);
  static constexpr auto kBlock = static_cast<size_t>(kernels::kScaleBlock);
};

size_t rows_in_page(int64_t page, int64_t n_tokens) {
  return static_cast<size_t>(std::min(kPageTokens, n_tokens - page * kPageTokens));
}

void write_block(io::AtomicFile& file, std::span<const std::byte> block) {
  const uint64_t sum = io::checksum(block.data(), block.size());
  file.write(block);
  file.write(std::as_bytes(std::span(&sum, 1)));
}

class BlockReader {
 public:
  explicit BlockReader(const io::File& file) : file_(file) {}
  void read(std::span<std::byte> block, std::string_view what) {
    file_.read_at(at_, block);
    uint64_t sum = 0;
    file_.read_at(at_ + block.size(), std::as_writable_bytes(std::span(&sum, 1)));
    if (sum != io::checksum(block.data(), block.size())) {
      fail(ErrorCode::kFormat, file_.path(), ": the checksum of ", what, " at byte ", at_,
           " does not match: the snapshot is damaged");
    }
    at_ += block.size() + sizeof sum;
  }

 private:
  const io::File& file_;
  uint64_t at_ = kHeaderBytes;
};

Header read_header(const io::File& file) {
  const std::string& path = file.path();
  if (file.size() < kHeaderBytes) {
    fail(ErrorCode::kFormat, path, ": ", file.size(),
         " bytes is too short for a snapshot, whose header has ", kHeaderBytes);
  }
  std::array<std::byte, kHeaderBytes> bytes;
  file.read_at(0, bytes);
  HeaderReader in(bytes);
  if (in.get<std::array<char, 8>>() != kMagic) {
    fail(ErrorCode::kFormat, path, ": not a snapshot (the file does not begin with 'REATTNSN')");
  }
  const auto version = in.get<uint32_t>();
  if (version != kVersion) {
    fail(ErrorCode::kUnsupported, path, ": snapshot format version ", version,
         ", this build reads ", kVersion);
  }
  uint64_t sum = 0;
  std::memcpy(&sum, &bytes[kHeaderBytes - sizeof sum], sizeof sum);
  if (sum != io::checksum(bytes.data(), kHeaderBytes - sizeof sum)) {
    fail(ErrorCode::kFormat, path,
         ": the checksum of the header does not match: the snapshot is damaged");
  }
  if (const auto page = in.get<uint32_t>(); page != kPageTokens) {
    fail(ErrorCode::kMismatch, path, ": pages of ", page, " tokens, this build has ", kPageTokens);
  }
  Header h;
  visit_fields(h, [&]<class T>(T& field) { field = in.get<T>(); });
  return h;
}

void check_identity(const std::string& path, const Identity& found, const Identity& expected) {
  const auto check = [&](std::string_view what, auto a, auto b) {
    if (a != b) {
      fail(ErrorCode::kMismatch, path, ": the snapshot is of another model: its ", what, " is ", a,
           ", this model's ", b);
    }
  };
  check("n_layers", found.n_layers, expected.n_layers);
  check("n_kv_heads", found.n_kv_heads, expected.n_kv_heads);
  check("head_dim", found.head_dim, expected.head_dim);
  check("n_vocab", found.n_vocab, expected.n_vocab);
  check("tokenizer fingerprint", found.tokenizer, expected.tokenizer);
  check("weights fingerprint", found.model, expected.model);
}

// Checksums find accidents; a file made on purpose is held to the same bounds as any caller.
void check_content(const std::string& path, const Snapshot& s) {
  for (size_t i = 0; i < s.ids.size(); ++i) {
    if (s.ids[i] < 0 || s.ids[i] >= s.identity.n_vocab) {
      fail(ErrorCode::kFormat, path, ": token ", i, " is ", s.ids[i], ", the vocabulary has ",
           s.identity.n_vocab);
    }
  }
}

uint64_t expected_bytes(const Header& h, const Layout& layout, const std::string& path) {
  const auto too_many = [&]() {
    fail(ErrorCode::kFormat, path, ": n_tokens is ", h.n_tokens, ", more than any session holds");
  };
  if (h.n_tokens > static_cast<uint64_t>(INT32_MAX)) too_many();
  const auto n_tokens = static_cast<int64_t>(h.n_tokens);
  const auto n_pages = static_cast<uint64_t>(Layout::n_pages(n_tokens));
  const PageShape shape(layout);
  const size_t last = n_pages > 0 ? rows_in_page(static_cast<int64_t>(n_pages) - 1, n_tokens) : 0;
  const auto full = base::checked_mul(n_pages > 0 ? n_pages - 1 : 0,
                                      shape.packed_bytes(static_cast<size_t>(kPageTokens)));
  const auto kv = full
                      ? base::checked_add(*full, shape.packed_bytes(last) +
                                                     h.n_tokens * (sizeof(int32_t) + sizeof(float)))
                      : std::nullopt;
  if (!kv) too_many();
  const uint64_t n_blocks = 3 + n_pages;
  const uint64_t logits =
      h.has_logits ? static_cast<uint64_t>(h.identity.n_vocab) * sizeof(float) : 0;
  const auto sum = base::checked_add(*kv, kHeaderBytes + n_blocks * sizeof(uint64_t) + logits);
  if (!sum) too_many();
  return *sum;
}

}  // namespace

Layout layout_of(int64_t n_layers, int64_t n_kv_heads, int64_t head_dim,
                 const select::Settings& s) {
  return {.n_layers = n_layers,
          .n_kv_heads = n_kv_heads,
          .head_dim = head_dim,
          .dtype = s.kv_dtype,
          .int8_only = s.int8_cache,
          .int8_keys = s.scoring == select::Scoring::kInt8};
}

void save(const Snapshot& s, const std::string& path) {
  io::AtomicFile file(path);
  Header h{s.identity, s.settings, s.ids.size(), s.logits.empty() ? 0u : 1u,
           s.settings.int8_cache ? 1u : 0u};
  HeaderWriter out;
  out.put(kMagic);
  out.put(kVersion);
  out.put(static_cast<uint32_t>(kPageTokens));
  visit_fields(h, [&](auto& field) { out.put(field); });
  const uint64_t sum = io::checksum(out.bytes.data(), kHeaderBytes - sizeof sum);
  std::memcpy(&out.bytes[kHeaderBytes - sizeof sum], &sum, sizeof sum);
  file.write(out.bytes);

  write_block(file, std::as_bytes(std::span(s.ids)));
  write_block(file, std::as_bytes(std::span(s.logprobs)));
  write_block(file, std::as_bytes(std::span(s.logits)));

  const Layout& layout = s.cache.layout();
  const PageShape shape(layout);
  std::vector<std::byte> block;
  for (int64_t page = 0; page < s.cache.n_pages(); ++page) {
    const size_t n_rows = rows_in_page(page, s.cache.n_tokens());
    block.resize(shape.packed_bytes(n_rows));
    shape.each_run(s.cache, page, n_rows, [&](std::byte* memory, size_t packed, size_t bytes) {
      s.cache.download(&block[packed], memory, bytes);
    });
    write_block(file, block);
  }
  file.commit();
}

std::shared_ptr<const Snapshot> open(const std::string& path, const Identity& expected,
                                     std::shared_ptr<kernels::Device> device) {
  const io::File file = io::File::open(path);
  Header h = read_header(file);
  check_identity(path, h.identity, expected);
  const kernels::DType dtype = h.settings.kv_dtype;
  if (!select::is_cache_type(dtype)) {
    fail(ErrorCode::kFormat, path, ": kv_dtype is ", static_cast<int32_t>(dtype),
         ", a cache can be F32, F16 or BF16");
  }
  if (!select::is_scoring(h.settings.scoring)) {
    fail(ErrorCode::kFormat, path, ": scoring is ", static_cast<int32_t>(h.settings.scoring),
         ", known are 0 (native) and 1 (int8)");
  }
  if (h.int8_cache > 1 || (h.int8_cache == 1 && h.settings.scoring != select::Scoring::kInt8)) {
    fail(ErrorCode::kFormat, path, ": int8_cache is ", h.int8_cache, " and scoring ",
         static_cast<int32_t>(h.settings.scoring), ", an int8 cache is 1 and scored in int8");
  }
  h.settings.int8_cache = h.int8_cache == 1;
  const Layout layout =
      layout_of(expected.n_layers, expected.n_kv_heads, expected.head_dim, h.settings);
  check_layout(*device, layout, path + ": ");
  if (const uint64_t bytes = expected_bytes(h, layout, path); bytes != file.size()) {
    fail(ErrorCode::kFormat, path, ": ", file.size(), " bytes, its header asks for ", bytes,
         ": the snapshot is truncated or damaged");
  }
  const auto n_tokens = static_cast<int64_t>(h.n_tokens);
  const uint64_t kv_bytes = static_cast<uint64_t>(Layout::n_pages(n_tokens)) * layout.page_bytes();
  device::check_free(*device, kv_bytes, concat(path, ": its cache of ", n_tokens, " tokens takes"));

  auto s = std::make_shared<Snapshot>(Snapshot{.identity = h.identity,
                                               .settings = h.settings,
                                               .ids = std::vector<int32_t>(h.n_tokens),
                                               .logprobs = std::vector<float>(h.n_tokens),
                                               .logits = {},
                                               .cache = KvCache(device, layout)});
  if (h.has_logits) s->logits.resize(static_cast<size_t>(h.identity.n_vocab));
  BlockReader blocks(file);
  blocks.read(std::as_writable_bytes(std::span(s->ids)), "the token ids");
  blocks.read(std::as_writable_bytes(std::span(s->logprobs)), "the log-probabilities");
  blocks.read(std::as_writable_bytes(std::span(s->logits)), "the logits");
  check_content(path, *s);

  kernels::Stream stream;
  const PageShape shape(layout);
  std::vector<std::byte> block;
  constexpr int64_t kTogether =
      64;  // pages that have room for all rows before full ones drop what they do not need
  for (int64_t page = 0; page < Layout::n_pages(n_tokens); ++page) {
    if (page % kTogether == 0) {
      s->cache.commit(page * kPageTokens);
      s->cache.reserve(stream, page * kPageTokens,
                       std::min(n_tokens, (page + kTogether) * kPageTokens));
    }
    const size_t n_rows = rows_in_page(page, n_tokens);
    block.resize(shape.packed_bytes(n_rows));
    blocks.read(block, concat("cache page ", page));
    shape.each_run(s->cache, page, n_rows, [&](std::byte* memory, size_t packed, size_t bytes) {
      device->upload(stream, memory, &block[packed], bytes);
    });
  }
  // Keys in int8 besides others are not in the file: they follow from those.
  if (!layout.int8_only) s->cache.quantize_keys(stream, n_tokens);
  s->cache.commit(n_tokens);
  return s;
}

}  // namespace reattn::cache
