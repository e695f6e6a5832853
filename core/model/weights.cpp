#include "core/model/weights.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>

#include "core/device/memory.hpp"
#include "core/io/checksum.hpp"

namespace reattn::model {
namespace {

using kernels::DType;

constexpr size_t kReadBytes = 4 << 20;  // a cancel is seen after at most this much

bool finite_half(uint16_t bits) {
  return (bits & 0x7C00) != 0x7C00;
}

// Where a block has the halves that are its scale (and minimum).
struct Halves {
  size_t at;  // bytes
  size_t n;
};
Halves halves_of(DType t) {
  switch (t) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ6_K:
      return {208, 1};
    default:  // F16 too
      return {0, 1};
  }
}

// Index of the first element (or block) that is not a finite number, −1 if all are.
int64_t first_not_finite(DType t, std::span<const std::byte> data) {
  const size_t unit = static_cast<size_t>(kernels::dtype_info(t).block_bytes);
  const Halves halves = halves_of(t);
  for (size_t at = 0; at < data.size(); at += unit) {
    bool ok = true;
    if (t == DType::kF32) {
      float x;
      std::memcpy(&x, &data[at], sizeof x);
      ok = std::isfinite(x);
    } else if (t == DType::kBF16) {
      uint16_t x;
      std::memcpy(&x, &data[at], sizeof x);
      ok = (x & 0x7F80) != 0x7F80;
    } else {
      uint16_t x[2];
      std::memcpy(x, &data[at + halves.at], halves.n * sizeof x[0]);
      for (size_t i = 0; i < halves.n; ++i) ok = ok && finite_half(x[i]);
    }
    if (!ok) return static_cast<int64_t>(at / unit);
  }
  return -1;
}

// A vector is held as f32 whatever the file has: it is small, and every kernel reads it.
std::vector<float> to_f32(DType t, std::span<const std::byte> data) {
  std::vector<float> out(data.size() / static_cast<size_t>(kernels::dtype_info(t).block_bytes));
  for (size_t i = 0; i < out.size(); ++i) {
    if (t == DType::kF32) {
      std::memcpy(&out[i], &data[4 * i], 4);
    } else if (t == DType::kF16) {
      _Float16 h;
      std::memcpy(&h, &data[2 * i], 2);
      out[i] = static_cast<float>(h);
    } else {
      uint16_t bits;
      std::memcpy(&bits, &data[2 * i], 2);
      out[i] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
  }
  return out;
}

// Every tensor that a model has, by name: where its place in Weights is, and what shape it must have.
class Plan {
 public:
  using TakeMatrix = std::function<void(const kernels::Matrix&)>;
  using TakeVector = std::function<void(const float*)>;
  struct Item {
    const io::TensorInfo* tensor;
    int64_t first_row;  // of the tensor; all of it where another item does not have the rest
    Held held;          // in device memory; of a vector: one row
    TakeMatrix matrix;  // one of the two
    TakeVector vector;
  };

  Plan(const io::Tensors& file, const kernels::Device& device) : file_(file), device_(device) {}

  struct Rows {
    int64_t n;
    kernels::Matrix* to;
  };
  // A matrix, or several whose rows lie one after the other in one tensor.
  void matrices(const std::string& name, std::initializer_list<Rows> parts, int64_t n_cols,
                WeightType type = WeightType::kAuto) {
    int64_t n_rows = 0;
    for (const Rows& part : parts) n_rows += part.n;
    const io::TensorInfo& t = take(name, {n_cols, n_rows});
    const DType held = type == WeightType::kF8 ? DType::kF8 : device_.weight_type(t.dtype);
    int64_t first = 0;
    for (const Rows& part : parts) {
      kernels::Matrix* to = part.to;
      items_.push_back({&t,
                        first,
                        {held, part.n, n_cols},
                        [to](const kernels::Matrix& m) { *to = m; },
                        nullptr});
      first += part.n;
    }
  }
  void matrix(const std::string& name, int64_t n_rows, int64_t n_cols, kernels::Matrix* to,
              WeightType type = WeightType::kAuto) {
    matrices(name, {{n_rows, to}}, n_cols, type);
  }
  void vector(const std::string& name, int64_t n, const float** to) {
    const io::TensorInfo& t = take(name, {n});
    if (kernels::dtype_info(t.dtype).block_elements != 1) {
      fail(ErrorCode::kUnsupported, file_.path(), ": tensor '", name, "' is a ",
           kernels::dtype_info(t.dtype).name, " vector, this build reads F32, F16 and BF16 ones");
    }
    items_.push_back({&t, 0, {DType::kF32, 1, n}, nullptr, [to](const float* p) { *to = p; }});
  }
  void bias(const std::string& name, int64_t n, Bias has, const float** to) {
    if (has == Bias::kNone || (has == Bias::kOptional && !file_.find_tensor(name))) return;
    vector(name, n, to);
  }
  void refuse_others(const std::string& architecture) const {
    for (const io::TensorInfo& t : file_.tensors()) {
      if (t.name == "rope_freqs.weight") continue;  // read with the hyper-parameters
      if (!names_.contains(t.name)) {
        fail(ErrorCode::kFormat, file_.path(), ": tensor '", t.name, "' has no place in a ",
             architecture, " model");
      }
    }
  }
  const std::vector<Item>& items() const { return items_; }
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const Item& item : items_) sum += item.held.bytes();
    return sum;
  }

 private:
  const io::TensorInfo& take(const std::string& name, const std::vector<int64_t>& shape) {
    const io::TensorInfo& t = file_.get_tensor(name);
    std::vector<int64_t> found = t.shape;  // trailing dimensions of 1 mean nothing
    while (found.size() > shape.size() && found.back() == 1) found.pop_back();
    if (found != shape) {
      std::string expected = "[";
      for (size_t i = 0; i < shape.size(); ++i) {
        expected += (i ? ", " : "") + std::to_string(shape[i]);
      }
      fail(ErrorCode::kFormat, file_.path(), ": tensor '", name, "' has shape ", t.shape_text(),
           ", the hyper-parameters ask for ", expected, "]");
    }
    names_.insert(name);
    return t;
  }

  const io::Tensors& file_;
  const kernels::Device& device_;
  std::vector<Item> items_;
  std::set<std::string, std::less<>> names_;
};

struct Places {
  kernels::Matrix* embedding;
  kernels::Matrix* output;
  const float** output_norm;
  std::vector<LayerWeights>* layers;
};

Plan make_plan(const io::Tensors& file, const Config& c, WeightType type,
               const kernels::Device& device, const Places& to) {
  check_weight_type(device, type);
  const Family& f = c.family;
  Plan plan(file, device);
  plan.matrix("token_embd.weight", c.n_vocab, c.n_embd, to.embedding);
  plan.vector("output_norm.weight", c.n_embd, to.output_norm);
  if (!c.tied_embeddings) plan.matrix("output.weight", c.n_vocab, c.n_embd, to.output);
  const int64_t n_q = c.n_heads * c.head_dim, n_kv = c.n_kv_heads * c.head_dim;
  to.layers->resize(static_cast<size_t>(c.n_layers));
  for (size_t i = 0; i < to.layers->size(); ++i) {
    const std::string p = concat("blk.", i, ".");
    LayerWeights& w = (*to.layers)[i];
    plan.vector(p + "attn_norm.weight", c.n_embd, &w.attn_norm);
    if (f.fused_qkv) {
      plan.matrices(p + "attn_qkv.weight", {{n_q, &w.q}, {n_kv, &w.k}, {n_kv, &w.v}}, c.n_embd,
                    type);
    } else {
      plan.matrix(p + "attn_q.weight", n_q, c.n_embd, &w.q, type);
      plan.matrix(p + "attn_k.weight", n_kv, c.n_embd, &w.k, type);
      plan.matrix(p + "attn_v.weight", n_kv, c.n_embd, &w.v, type);
    }
    plan.bias(p + "attn_q.bias", n_q, f.qkv_bias, &w.q_bias);
    plan.bias(p + "attn_k.bias", n_kv, f.qkv_bias, &w.k_bias);
    plan.bias(p + "attn_v.bias", n_kv, f.qkv_bias, &w.v_bias);
    if (f.qk_norm) {
      plan.vector(p + "attn_q_norm.weight", c.head_dim, &w.q_norm);
      plan.vector(p + "attn_k_norm.weight", c.head_dim, &w.k_norm);
    }
    plan.matrix(p + "attn_output.weight", c.n_embd, n_q, &w.attn_output, type);
    if (f.post_norms) plan.vector(p + "post_attention_norm.weight", c.n_embd, &w.attn_post_norm);
    plan.vector(p + "ffn_norm.weight", c.n_embd, &w.ffn_norm);
    if (f.fused_gate_up) {
      plan.matrices(p + "ffn_up.weight", {{c.n_ff, &w.gate}, {c.n_ff, &w.up}}, c.n_embd, type);
    } else {
      plan.matrix(p + "ffn_gate.weight", c.n_ff, c.n_embd, &w.gate, type);
      plan.matrix(p + "ffn_up.weight", c.n_ff, c.n_embd, &w.up, type);
    }
    plan.matrix(p + "ffn_down.weight", c.n_embd, c.n_ff, &w.down, type);
    if (f.post_norms) plan.vector(p + "post_ffw_norm.weight", c.n_embd, &w.ffn_post_norm);
  }
  plan.refuse_others(c.architecture);
  return plan;
}

}  // namespace

uint64_t Weights::check(const io::Tensors& file, const Config& config, WeightType type,
                        const kernels::Device& device) {
  kernels::Matrix matrix;
  const float* vector = nullptr;
  std::vector<LayerWeights> layers;
  return make_plan(file, config, type, device, {&matrix, &matrix, &vector, &layers}).bytes();
}

Weights::Weights(const io::Tensors& file, const Config& config, WeightType type,
                 std::shared_ptr<kernels::Device> device, const LoadObserver& observer) {
  const Plan plan =
      make_plan(file, config, type, *device, {&embedding_, &output_, &output_norm_, &layers_});
  device::check_free(*device, plan.bytes(), concat(file.path(), ": the weights take"));

  io::Checksum sum;
  kernels::Stream stream;
  std::vector<std::byte> staging;
  for (const Plan::Item& item : plan.items()) {
    const io::TensorInfo& t = *item.tensor;
    sum.update(t.name.data(), t.name.size());
    sum.update(t.shape.data(), t.shape.size() * sizeof t.shape[0]);
    sum.update(&t.dtype, sizeof t.dtype);

    const kernels::DTypeInfo block = kernels::dtype_info(t.dtype);
    const auto unit = static_cast<size_t>(block.block_bytes);
    const bool by_rows = item.held.type == DType::kF8;  // a row's scale needs all of it
    const auto row = static_cast<uint64_t>(kernels::row_bytes(t.dtype, t.shape[0]));
    const size_t whole = by_rows ? static_cast<size_t>(row) : unit;
    const size_t piece = std::max(kReadBytes / whole, size_t{1}) * whole;
    device::Buffer buffer(device, item.held.bytes());
    const kernels::Matrix held = item.held.at(buffer.as<std::byte>());
    const uint64_t begin = static_cast<uint64_t>(item.first_row) * row;
    const uint64_t n_bytes = static_cast<uint64_t>(item.held.n_rows) * row;
    for (uint64_t at = 0; at < n_bytes;) {
      if (observer.cancel && observer.cancel->load()) {
        fail(ErrorCode::kCancelled, file.path(), ": loading was cancelled");
      }
      const size_t n = static_cast<size_t>(std::min<uint64_t>(n_bytes - at, piece));
      staging.resize(n);
      file.read_tensor(t, begin + at, staging);
      sum.update(staging.data(), n);
      if (const int64_t bad = first_not_finite(t.dtype, staging); bad >= 0) {
        fail(ErrorCode::kFormat, file.path(), ": tensor '", t.name,
             "' holds a number that is not finite", " (element or block ",
             static_cast<int64_t>((begin + at) / unit) + bad, ")");
      }
      const auto elements_of = [&](uint64_t bytes) {
        return static_cast<int64_t>(bytes / unit) * block.block_elements;
      };
      std::byte* to = buffer.as<std::byte>() + kernels::row_bytes(item.held.type, elements_of(at));
      if (by_rows) {
        const auto first = static_cast<int64_t>(at / row), n_rows = static_cast<int64_t>(n / row);
        device->upload_rows(stream, {{staging.data(), t.dtype, n_rows, t.shape[0]},
                                     kernels::rows_of(held, first, n_rows)});
      } else if (item.matrix) {
        device->upload_weights(stream, to, staging.data(), t.dtype, elements_of(n));
      } else {
        const std::vector<float> f = to_f32(t.dtype, staging);
        device->upload(stream, to, f.data(), f.size() * sizeof(float));
      }
      at += n;
      if (observer.bytes_done) observer.bytes_done->fetch_add(n);
    }
    if (item.matrix) {
      item.matrix(held);
    } else {
      item.vector(buffer.as<float>());
    }
    buffers_.push_back(std::move(buffer));
  }
  if (config.tied_embeddings) output_ = embedding_;
  checksum_ = sum.value();
}

}  // namespace reattn::model
