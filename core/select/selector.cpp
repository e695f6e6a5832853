#include "core/select/selector.hpp"

#include <algorithm>

namespace reattn::select {
namespace {

size_t picks_bytes(const Settings& s, int64_t n_heads) {
  const auto rows = kernels::n_voters(s.chunk, s.vote_stride) * n_heads;
  return static_cast<size_t>(rows) * static_cast<size_t>(s.top_k) * sizeof(int32_t);
}

size_t anchors_bytes(const Settings& s) {
  return std::max<size_t>(1, static_cast<size_t>(s.n_anchors)) * sizeof(int32_t);
}

size_t positions_bytes(const Settings& s) {
  return anchors_bytes(s) * static_cast<size_t>(s.span);
}

}  // namespace

Selector::Selector(std::shared_ptr<kernels::Device> device, const Settings& settings,
                   int32_t n_heads)
    : device_(std::move(device)),
      settings_(settings),
      picks_(device_, picks_bytes(settings, n_heads)),
      anchors_(device_, anchors_bytes(settings)),
      votes_(device_, anchors_bytes(settings)),
      positions_(device_, positions_bytes(settings)),
      counts_(device_, 2 * sizeof(int32_t)) {}

void Selector::recall_attend(kernels::Stream& stream, const AttentionShape& shape, const float* q,
                             int64_t n_queries, const kernels::KvPages& pages, int64_t n_tokens,
                             float* out) {
  const Split at = split(n_tokens, settings_);
  recalled_ = at.has_middle() && settings_.n_anchors > 0;
  int32_t* n_anchors = counts_.as<int32_t>();
  int32_t* n_positions = n_anchors + 1;

  if (recalled_) {
    const kernels::ScoreArgs score{
        .q = q,
        .n_queries = n_queries,
        .n_heads = shape.n_heads,
        .pages = pages,
        .middle_begin = at.middle_begin,
        .middle_end = at.middle_end,
        .top_k = settings_.top_k,
        .vote_stride = settings_.vote_stride,
        // A one-token step is exact in every mode.
        .block1 = settings_.selection == Selection::kBlock1 && n_queries > 1,
        .picks = picks_.as<int32_t>(),
    };
    device_->score(stream, {&score, 1});

    const int64_t n_rows = kernels::n_voters(n_queries, settings_.vote_stride) * shape.n_heads;
    const kernels::VoteArgs vote{
        .picks = score.picks,
        .n_picks = n_rows * settings_.top_k,
        .middle_begin = at.middle_begin,
        .middle_end = at.middle_end,
        .n_anchors = settings_.n_anchors,
        .anchors = anchors_.as<int32_t>(),
        .votes = votes_.as<int32_t>(),
        .n_found = n_anchors,
    };
    device_->vote(stream, {&vote, 1});

    const kernels::ExpandArgs expand{
        .anchors = vote.anchors,
        .n_anchors = n_anchors,
        .span = settings_.span,
        .middle_begin = at.middle_begin,
        .middle_end = at.middle_end,
        .positions = positions_.as<int32_t>(),
        .n_positions = n_positions,
    };
    device_->expand(stream, {&expand, 1});
  }

  const kernels::AttendArgs attend{
      .q = q,
      .n_queries = n_queries,
      .n_heads = shape.n_heads,
      .pages = pages,
      .n_tokens = n_tokens,
      .n_global = at.middle_begin,
      .recalled = recalled_ ? positions_.as<int32_t>() : nullptr,
      .n_recalled = recalled_ ? n_positions : nullptr,
      .local_begin = at.middle_end,
      .rope = shape.rope,
      .scale = shape.scale,
      .out = out,
  };
  device_->attend(stream, {&attend, 1});
}

std::vector<Anchor> Selector::read_anchors(kernels::Stream& stream) const {
  if (!recalled_) return {};
  int32_t n = 0;
  device_->download(stream, &n, counts_.as(), sizeof n);
  std::vector<int32_t> both(2 * static_cast<size_t>(n));
  const size_t bytes = static_cast<size_t>(n) * sizeof(int32_t);
  device_->download(stream, both.data(), anchors_.as(), bytes);
  device_->download(stream, both.data() + n, votes_.as(), bytes);
  std::vector<Anchor> out(static_cast<size_t>(n));
  for (size_t i = 0; i < out.size(); ++i) out[i] = {both[i], both[i + out.size()]};
  return out;
}

size_t Selector::working_bytes(const Settings& s, int64_t n_heads) {
  return picks_bytes(s, n_heads) + 2 * anchors_bytes(s) + positions_bytes(s) + 2 * sizeof(int32_t);
}

}  // namespace reattn::select
