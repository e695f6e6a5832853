// What a device does unless it does it in its own way.
#include "reattn/kernels/device.hpp"

#include <algorithm>
#include <bit>
#include <vector>

namespace reattn::kernels {
namespace {

class PlainTransfer final : public Transfer {
 public:
  PlainTransfer(Device& device, size_t max_bytes) : device_(device) { copy_.reserve(max_bytes); }
  void start(Stream& s, const void* from_device, size_t bytes) override {
    copy_.resize(bytes);
    device_.download(s, copy_.data(), from_device, bytes);
  }
  const void* wait() override { return copy_.data(); }

 private:
  Device& device_;
  std::vector<std::byte> copy_;
};

}  // namespace

std::unique_ptr<Transfer> Device::make_transfer(size_t max_bytes) {
  return std::make_unique<PlainTransfer>(*this, max_bytes);
}

void Device::upload_weights(Stream& s, void* to_device, const void* from_host, DType file_type,
                            int64_t n_elements) {
  upload(s, to_device, from_host, static_cast<size_t>(row_bytes(file_type, n_elements)));
}

void Device::fill_random(Stream& s, const Matrix& to, const RandomArgs& a) {
  const int64_t n = to.n_rows * to.n_cols;
  const bool by_rows = to.dtype == DType::kF8;
  const int64_t unit = by_rows ? to.n_cols : 1;
  const int64_t piece_elements = std::max<int64_t>(1, (1 << 20) / unit) * unit;
  std::vector<uint16_t> piece;
  for (int64_t at = 0; at < n; at += piece_elements) {
    piece.resize(static_cast<size_t>(std::min(piece_elements, n - at)));
    for (size_t i = 0; i < piece.size(); ++i) {
      const auto bits = std::bit_cast<uint32_t>(random_element(a, static_cast<uint64_t>(at) + i));
      piece[i] = static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
    }
    std::byte* begin = static_cast<std::byte*>(const_cast<void*>(to.data));
    if (by_rows) {
      const int64_t row = at / unit, n_rows = static_cast<int64_t>(piece.size()) / unit;
      upload_rows(s, {{piece.data(), DType::kBF16, n_rows, unit}, rows_of(to, row, n_rows)});
      continue;
    }
    upload_weights(s, begin + row_bytes(to.dtype, at), piece.data(), DType::kBF16,
                   static_cast<int64_t>(piece.size()));
  }
}

void Device::upload_rows(Stream&, const QuantizeRowsArgs&) {
  fail(ErrorCode::kUnsupported, "upload_rows: the device '", info().kind,
       "' holds no weights in F8");
}

void Device::quantize_keys(Stream&, std::span<const QuantizeKeysArgs>) {
  fail(ErrorCode::kUnsupported, "quantize_keys: the device '", info().kind,
       "' does not score in int8");
}

void Device::restore_rows(Stream&, std::span<const RestoreRowsArgs>) {
  fail(ErrorCode::kUnsupported, "restore_rows: the device '", info().kind,
       "' keeps no caches in int8");
}

void Device::qkv(Stream& s, const QkvArgs& a) {
  rms_norm(s, {a.x, a.norm, a.n_rows, a.n_embd, a.eps, a.normed});
  matmul(s, {a.normed, a.n_rows, a.q, a.q_bias, a.q_out, false});
  matmul(s, {a.normed, a.n_rows, a.k, a.k_bias, a.k_out, false});
  matmul(s, {a.normed, a.n_rows, a.v, a.v_bias, a.v_out, false});
}

void Device::mlp(Stream& s, const MlpArgs& a) {
  rms_norm(s, {a.x, a.norm, a.n_rows, a.n_embd, a.eps, a.normed});
  matmul(s, {a.normed, a.n_rows, a.gate, nullptr, a.gate_out, false});
  matmul(s, {a.normed, a.n_rows, a.up, nullptr, a.up_out, false});
  const SwigluArgs glu{a.gate_out, a.up_out, a.n_rows * a.n_ff, a.gate_out};
  if (a.activation == Activation::kGelu) {
    geglu(s, glu);
  } else {
    swiglu(s, glu);
  }
  if (!a.post_norm) {
    matmul(s, {a.gate_out, a.n_rows, a.down, nullptr, a.x, true});
    return;
  }
  matmul(s, {a.gate_out, a.n_rows, a.down, nullptr, a.normed, false});
  rms_norm(s, {a.normed, a.post_norm, a.n_rows, a.n_embd, a.eps, a.x, true});
}

void Device::recall(Stream& s, std::span<const ScoreArgs> scores, std::span<const VoteArgs> votes,
                    std::span<const ExpandArgs> expands) {
  score(s, scores);
  vote(s, votes);
  expand(s, expands);
}

}  // namespace reattn::kernels
