#include "core/select/selector.hpp"

#include <algorithm>

namespace reattn::select {
namespace {

// Numbers of one chunk.
size_t n_picks(const Settings& s, int64_t n_heads) {
  return static_cast<size_t>(kernels::n_voters(s.chunk, s.vote_stride) * n_heads * s.top_k);
}

size_t n_positions(const Settings& s) {
  return static_cast<size_t>(s.n_anchors) * static_cast<size_t>(s.span);
}

size_t n_found(const Settings& s) {
  return 1 + 2 * static_cast<size_t>(s.n_anchors);
}

size_t bytes(size_t n_each, int64_t n) {
  return std::max<size_t>(1, n_each * static_cast<size_t>(n)) * sizeof(int32_t);
}

}  // namespace

Selector::Selector(std::shared_ptr<kernels::Device> device, const Settings& settings,
                   const StepShape& shape)
    : device_(std::move(device)),
      settings_(settings),
      shape_(shape),
      picks_(device_, bytes(n_picks(settings, shape.n_heads), shape.n_chunks)),
      positions_(device_, bytes(n_positions(settings), shape.n_chunks)),
      counts_(device_, bytes(1, shape.n_chunks)),
      found_(device_, bytes(n_found(settings), shape.n_layers * shape.n_chunks)) {}

size_t Selector::working_bytes(const Settings& s, const StepShape& shape) {
  return bytes(n_picks(s, shape.n_heads), shape.n_chunks) + bytes(n_positions(s), shape.n_chunks) +
         bytes(1, shape.n_chunks) + bytes(n_found(s), shape.n_layers * shape.n_chunks);
}

void Selector::begin(std::span<const Part> parts) {
  chunks_.clear();
  int64_t first = 0;  // row of the part
  for (size_t p = 0; p < parts.size(); ++p) {
    const auto [begin, n_rows] = parts[p];
    for (int64_t row = 0; row < n_rows; row += settings_.chunk) {
      const int64_t n = std::min<int64_t>(settings_.chunk, n_rows - row);
      chunks_.push_back({p, first + row, n, split(begin + row + n, settings_)});
    }
    first += n_rows;
  }
}

void Selector::add_selection(const Layer& layer, size_t c) {
  const Chunk& chunk = chunks_[c];
  const kernels::KvPages& pages = layer.pages[chunk.part];
  const int32_t n_heads = layer.shape.n_heads;
  const size_t n_all = static_cast<size_t>(shape_.n_layers) * chunks_.size();
  const size_t at = static_cast<size_t>(layer.index) * chunks_.size() + c;
  const size_t n_anchors = static_cast<size_t>(settings_.n_anchors);
  int32_t* n_found = found_.as<int32_t>();
  int32_t* anchors = n_found + n_all;
  int32_t* votes = anchors + n_all * n_anchors;
  using kernels::complete_blocks;
  scores_.push_back({
      .q = layer.q + chunk.row * n_heads * pages.head_dim,
      .n_queries = chunk.n_rows,
      .n_heads = n_heads,
      .pages = pages,
      .middle_begin = chunk.at.middle_begin,
      .middle_end = chunk.at.middle_end,
      .top_k = settings_.top_k,
      .vote_stride = settings_.vote_stride,
      // A one-token step is exact in every mode.
      .block1 = settings_.selection == Selection::kBlock1 && chunk.n_rows > 1,
      .picks = picks_.as<int32_t>() + c * n_picks(settings_, n_heads),
      // What was complete when this chunk came, whatever came together with it.
      .int8_end = pages.k8 ? complete_blocks(chunk.at.n_tokens) : 0,
  });
  votes_.push_back({
      .picks = scores_.back().picks,
      .n_picks = kernels::n_voters(chunk.n_rows, settings_.vote_stride) * n_heads * settings_.top_k,
      .middle_begin = chunk.at.middle_begin,
      .middle_end = chunk.at.middle_end,
      .n_anchors = settings_.n_anchors,
      .anchors = anchors + at * n_anchors,
      .votes = votes + at * n_anchors,
      .n_found = n_found + at,
  });
  expands_.push_back({
      .anchors = votes_.back().anchors,
      .n_anchors = votes_.back().n_found,
      .span = settings_.span,
      .middle_begin = chunk.at.middle_begin,
      .middle_end = chunk.at.middle_end,
      .positions = positions_.as<int32_t>() + c * n_positions(settings_),
      .n_positions = counts_.as<int32_t>() + c,
  });
}

void Selector::add_attention(const Layer& layer, size_t c) {
  const Chunk& chunk = chunks_[c];
  const kernels::KvPages& pages = layer.pages[chunk.part];
  const int64_t first = chunk.row * layer.shape.n_heads * pages.head_dim;
  attends_.push_back({
      .q = layer.q + first,
      .n_queries = chunk.n_rows,
      .n_heads = layer.shape.n_heads,
      .pages = pages,
      .n_tokens = chunk.at.n_tokens,
      .n_global = chunk.at.middle_begin,
      .recalled = recalls(chunk) ? expands_.back().positions : nullptr,
      .n_recalled = recalls(chunk) ? expands_.back().n_positions : nullptr,
      .local_begin = chunk.at.middle_end,
      .rope = layer.shape.rope,
      .scale = layer.shape.scale,
      .out = layer.out + first,
      .int8_end = pages.v8 ? kernels::complete_blocks(chunk.at.n_tokens) : 0,
  });
}

void Selector::recall_attend(kernels::Stream& stream, const AttentionShape& shape, int64_t index,
                             const float* q, std::span<const kernels::KvPages> pages, float* out) {
  scores_.clear();
  votes_.clear();
  expands_.clear();
  attends_.clear();
  const Layer layer{shape, index, q, pages, out};
  for (size_t c = 0; c < chunks_.size(); ++c) {
    if (recalls(chunks_[c])) add_selection(layer, c);
    add_attention(layer, c);
  }
  if (!scores_.empty()) device_->recall(stream, scores_, votes_, expands_);
  device_->attend(stream, attends_);
}

void Selector::slide_attend(kernels::Stream& stream, const AttentionShape& shape, int64_t n_window,
                            const float* q, std::span<const kernels::KvPages> pages, float* out) {
  attends_.clear();
  for (const Chunk& chunk : chunks_) {
    const kernels::KvPages& part = pages[chunk.part];
    const int64_t begin = chunk.at.n_tokens - chunk.n_rows;
    for (int64_t row = 0; row < chunk.n_rows;) {
      const int64_t n_left = chunk.n_rows - row, n_filling = n_window - (begin + row);
      const int64_t n = n_filling > 0 ? std::min(n_left, n_filling) : 1;
      const int64_t end = begin + row + n;
      const int64_t at = (chunk.row + row) * shape.n_heads * part.head_dim;
      attends_.push_back({
          .q = q + at,
          .n_queries = n,
          .n_heads = shape.n_heads,
          .pages = part,
          .n_tokens = end,
          .n_global = 0,
          .recalled = nullptr,
          .n_recalled = nullptr,
          .local_begin = std::max<int64_t>(0, end - n_window),
          .rope = shape.rope,
          .scale = shape.scale,
          .out = out + at,
          .int8_end = part.v8 ? kernels::complete_blocks(end) : 0,
      });
      row += n;
    }
  }
  device_->attend(stream, attends_);
}

bool Selector::any_recalls(std::span<const Chunk> chunks, const Settings& settings) {
  return std::any_of(chunks.begin(), chunks.end(),
                     [&](const Chunk& c) { return recalls(c, settings); });
}

size_t Selector::found_bytes() const {
  return static_cast<size_t>(shape_.n_layers) * chunks_.size() * n_found(settings_) *
         sizeof(int32_t);
}

Selector::Anchors Selector::unpack(const int32_t* found, const StepShape& shape,
                                   std::span<const Chunk> chunks, const Settings& settings) {
  const auto n_layers = static_cast<size_t>(shape.n_layers);
  const size_t n_chunks = chunks.size();
  Anchors out(n_layers, std::vector<std::vector<Anchor>>(n_chunks));
  if (!any_recalls(chunks, settings)) return out;
  const auto n_anchors = static_cast<size_t>(settings.n_anchors);
  const int32_t* anchors = found + n_layers * n_chunks;
  const int32_t* votes = anchors + n_layers * n_chunks * n_anchors;
  for (size_t layer = 0; layer < n_layers; ++layer) {
    if (!shape.recalls(layer)) continue;
    for (size_t c = 0; c < n_chunks; ++c) {
      if (!recalls(chunks[c], settings)) continue;
      const size_t at = layer * n_chunks + c;
      out[layer][c].reserve(static_cast<size_t>(found[at]));
      for (size_t i = at * n_anchors; i < at * n_anchors + static_cast<size_t>(found[at]); ++i) {
        out[layer][c].push_back({anchors[i], votes[i]});
      }
    }
  }
  return out;
}

Selector::Anchors Selector::read_anchors(kernels::Stream& stream) const {
  std::vector<int32_t> found;
  // Where the device runs ahead this is also how the end of a step is waited for.
  if (any_recalls(chunks_, settings_) || device_->runs_ahead()) {
    found.resize(found_bytes() / sizeof(int32_t));
    device_->download(stream, found.data(), found_.as(), found_bytes());
  }
  return unpack(found.data(), shape_, chunks_, settings_);
}

void Selector::start_read(kernels::Stream& stream, AnchorRead& to) const {
  to.chunks_ = chunks_;
  to.settings_ = settings_;
  to.shape_ = shape_;
  if (!to.transfer_) to.transfer_ = device_->make_transfer(found_bytes());
  to.transfer_->start(stream, found_.as(), found_bytes());
}

Selector::Anchors Selector::AnchorRead::wait() const {
  return unpack(static_cast<const int32_t*>(transfer_->wait()), shape_, chunks_, settings_);
}

}  // namespace reattn::select
