#include "core/model/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>

#include "core/device/memory.hpp"
#include "core/io/checksum.hpp"
#include "reattn/kernels/half.hpp"

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
    } else {
      uint16_t bits;
      std::memcpy(&bits, &data[2 * i], 2);
      out[i] = t == DType::kF16 ? kernels::half_to_float(bits) : kernels::bf16_to_float(bits);
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
    // Of the tensor: n_groups times group_rows rows, the first at first_row and each `stride` rows after the one before.
    int64_t first_row, group_rows, stride, n_groups;
    Held held;          // in device memory; of a vector: one row
    float to_add;       // to each number of a vector
    TakeMatrix matrix;  // one of the two
    TakeVector vector;
  };

  Plan(const io::Tensors& file, const kernels::Device& device) : file_(file), device_(device) {}

  struct Rows {
    int64_t n;
    kernels::Matrix* to;
  };
  // A matrix, or several of which one tensor has the rows, one after the other: n of each, and that n_groups times.
  void matrices(const std::string& name, std::initializer_list<Rows> parts, int64_t n_cols,
                WeightType type = WeightType::kAuto, int64_t n_groups = 1) {
    int64_t stride = 0;
    for (const Rows& part : parts) stride += part.n;
    const io::TensorInfo& t = take(name, {n_cols, stride * n_groups});
    const DType held = type == WeightType::kF8 ? DType::kF8 : device_.weight_type(t.dtype);
    int64_t first = 0;
    for (const Rows& part : parts) {
      kernels::Matrix* to = part.to;
      items_.push_back({&t,
                        first,
                        part.n,
                        stride,
                        n_groups,
                        {held, part.n * n_groups, n_cols},
                        0,
                        [to](const kernels::Matrix& m) { *to = m; },
                        nullptr});
      first += part.n;
    }
  }
  void matrix(const std::string& name, int64_t n_rows, int64_t n_cols, kernels::Matrix* to,
              WeightType type = WeightType::kAuto) {
    matrices(name, {{n_rows, to}}, n_cols, type);
  }
  void vector(const std::string& name, int64_t n, const float** to, float to_add = 0) {
    const io::TensorInfo& t = take(name, {n});
    if (kernels::dtype_info(t.dtype).block_elements != 1) {
      fail(ErrorCode::kUnsupported, file_.path(), ": tensor '", name, "' is a ",
           kernels::dtype_info(t.dtype).name, " vector, this build reads F32, F16 and BF16 ones");
    }
    items_.push_back(
        {&t, 0, 1, 1, 1, {DType::kF32, 1, n}, to_add, nullptr, [to](const float* p) { *to = p; }});
  }
  void bias(const std::string& name, int64_t n, Bias has, const float** to) {
    if (has == Bias::kNone || (has == Bias::kOptional && !file_.find_tensor(name))) return;
    vector(name, n, to);
  }
  // Fails where the model has a tensor that is neither planned nor `ignored`.
  void refuse_others(const std::string& architecture,
                     const std::function<bool(std::string_view name)>& ignored) const {
    for (const io::TensorInfo& t : file_.tensors()) {
      if (!names_.contains(t.name) && !ignored(t.name)) {
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

// What tensors are called in the model's format.
class Names {
 public:
  explicit Names(const HfFamily* hf) : hf_(hf) {}

  std::string of(std::string_view part) const {
    return (hf_ ? hf_name(*hf_, part) : std::string(part)) + ".weight";
  }
  std::string of(size_t layer, std::string_view part, std::string_view kind = ".weight") const {
    return concat(hf_ ? hf_name(*hf_, layer, part) : concat("blk.", layer, ".", part), kind);
  }
  // Tensors that models have and that say nothing the weights need.
  bool ignored(std::string_view name, bool tied_embeddings) const {
    if (!hf_) return name == "rope_freqs.weight";  // read with the hyper-parameters
    return name.ends_with(".rotary_emb.inv_freq") || (tied_embeddings && name == of("output"));
  }

 private:
  const HfFamily* hf_;  // null: GGUF
};

void plan_qkv(Plan& plan, const Names& names, const Config& c, size_t layer, WeightType type,
              LayerWeights& w) {
  const Family& f = c.family;
  const int64_t n_q = c.n_heads * c.head_dim, n_kv = c.n_kv_heads * c.head_dim;
  const auto name = [&](std::string_view part) { return names.of(layer, part); };
  if (c.hf && c.hf->grouped_qkv) {
    plan.matrices(name("attn_qkv"),
                  {{n_q / c.n_kv_heads, &w.q}, {c.head_dim, &w.k}, {c.head_dim, &w.v}}, c.n_embd,
                  type, c.n_kv_heads);
  } else if (f.fused_qkv) {
    plan.matrices(name("attn_qkv"), {{n_q, &w.q}, {n_kv, &w.k}, {n_kv, &w.v}}, c.n_embd, type);
  } else {
    plan.matrix(name("attn_q"), n_q, c.n_embd, &w.q, type);
    plan.matrix(name("attn_k"), n_kv, c.n_embd, &w.k, type);
    plan.matrix(name("attn_v"), n_kv, c.n_embd, &w.v, type);
  }
  plan.bias(names.of(layer, "attn_q", ".bias"), n_q, f.qkv_bias, &w.q_bias);
  plan.bias(names.of(layer, "attn_k", ".bias"), n_kv, f.qkv_bias, &w.k_bias);
  plan.bias(names.of(layer, "attn_v", ".bias"), n_kv, f.qkv_bias, &w.v_bias);
}

Plan make_plan(const io::Tensors& file, const Config& c, WeightType type,
               const kernels::Device& device, const Places& to) {
  check_weight_type(device, type);
  const Family& f = c.family;
  const Names names(c.hf);
  Plan plan(file, device);
  const auto norm = [&](const std::string& name, int64_t n, const float** place) {
    plan.vector(name, n, place, c.hf && c.hf->norms_less_one ? 1.0F : 0.0F);
  };
  plan.matrix(names.of("token_embd"), c.n_vocab, c.n_embd, to.embedding);
  norm(names.of("output_norm"), c.n_embd, to.output_norm);
  if (!c.tied_embeddings) plan.matrix(names.of("output"), c.n_vocab, c.n_embd, to.output);
  to.layers->resize(static_cast<size_t>(c.n_layers));
  for (size_t i = 0; i < to.layers->size(); ++i) {
    const auto name = [&](std::string_view part) { return names.of(i, part); };
    LayerWeights& w = (*to.layers)[i];
    norm(name("attn_norm"), c.n_embd, &w.attn_norm);
    plan_qkv(plan, names, c, i, type, w);
    if (f.qk_norm) {
      norm(name("attn_q_norm"), c.head_dim, &w.q_norm);
      norm(name("attn_k_norm"), c.head_dim, &w.k_norm);
    }
    plan.matrix(name("attn_output"), c.n_embd, c.n_heads * c.head_dim, &w.attn_output, type);
    if (f.post_norms) norm(name("post_attention_norm"), c.n_embd, &w.attn_post_norm);
    norm(name("ffn_norm"), c.n_embd, &w.ffn_norm);
    if (f.fused_gate_up) {
      plan.matrices(name("ffn_up"), {{c.n_ff, &w.gate}, {c.n_ff, &w.up}}, c.n_embd, type);
    } else {
      plan.matrix(name("ffn_gate"), c.n_ff, c.n_embd, &w.gate, type);
      plan.matrix(name("ffn_up"), c.n_ff, c.n_embd, &w.up, type);
    }
    plan.matrix(name("ffn_down"), c.n_embd, c.n_ff, &w.down, type);
    if (f.post_norms) norm(name("post_ffw_norm"), c.n_embd, &w.ffn_post_norm);
  }
  plan.refuse_others(c.architecture,
                     [&](std::string_view name) { return names.ignored(name, c.tied_embeddings); });
  return plan;
}

// Reads tensors piece by piece, looks at their numbers and puts them where they are held.
struct Loading {
  const io::Tensors& file;
  kernels::Device& device;
  const LoadObserver& observer;
  io::Checksum& sum;
  kernels::Stream stream = {};
  std::vector<std::byte> staging = {};

  void load(const Plan::Item& item, std::byte* memory) {
    for (int64_t group = 0; group < item.n_groups; ++group) load_group(item, group, memory);
  }

 private:
  // Rows of the tensor that lie one after the other.
  void load_group(const Plan::Item& item, int64_t group, std::byte* memory) {
    const io::TensorInfo& t = *item.tensor;
    const kernels::DTypeInfo block = kernels::dtype_info(t.dtype);
    const auto unit = static_cast<size_t>(block.block_bytes);
    const bool by_rows = item.held.type == DType::kF8;  // a row's scale needs all of it
    const auto row = static_cast<uint64_t>(kernels::row_bytes(t.dtype, t.shape[0]));
    const size_t whole = by_rows ? static_cast<size_t>(row) : unit;
    const size_t piece = std::max(kReadBytes / whole, size_t{1}) * whole;
    const kernels::Matrix held = item.held.at(memory);
    const int64_t held_row = group * item.group_rows;
    const uint64_t begin = static_cast<uint64_t>(item.first_row + group * item.stride) * row;
    const uint64_t n_bytes = static_cast<uint64_t>(item.group_rows) * row;
    for (uint64_t at = 0; at < n_bytes;) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(n_bytes - at, piece));
      read(t, begin + at, n);
      const auto elements_of = [&](uint64_t bytes) {
        return static_cast<int64_t>(bytes / unit) * block.block_elements;
      };
      std::byte* to = memory + kernels::row_bytes(item.held.type,
                                                  held_row * item.held.n_cols + elements_of(at));
      if (by_rows) {
        const auto first = held_row + static_cast<int64_t>(at / row);
        const auto n_rows = static_cast<int64_t>(n / row);
        device.upload_rows(stream, {{staging.data(), t.dtype, n_rows, t.shape[0]},
                                    kernels::rows_of(held, first, n_rows)});
      } else if (item.matrix) {
        device.upload_weights(stream, to, staging.data(), t.dtype, elements_of(n));
      } else {
        std::vector<float> f = to_f32(t.dtype, staging);
        for (float& x : f) x += item.to_add;
        device.upload(stream, to, f.data(), f.size() * sizeof(float));
      }
      at += n;
      if (observer.bytes_done) observer.bytes_done->fetch_add(n);
    }
  }

  // Into staging.
  void read(const io::TensorInfo& t, uint64_t at, size_t n) {
    if (observer.cancel && observer.cancel->load()) {
      fail(ErrorCode::kCancelled, file.path(), ": loading was cancelled");
    }
    staging.resize(n);
    file.read_tensor(t, at, staging);
    sum.update(staging.data(), n);
    if (const int64_t bad = first_not_finite(t.dtype, staging); bad >= 0) {
      const auto unit = static_cast<uint64_t>(kernels::dtype_info(t.dtype).block_bytes);
      fail(ErrorCode::kFormat, file.path(), ": tensor '", t.name,
           "' holds a number that is not finite", " (element or block ",
           static_cast<int64_t>(at / unit) + bad, ")");
    }
  }
};

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
  Loading loading{file, *device, observer, sum};
  for (const Plan::Item& item : plan.items()) {
    const io::TensorInfo& t = *item.tensor;
    sum.update(t.name.data(), t.name.size());
    sum.update(t.shape.data(), t.shape.size() * sizeof t.shape[0]);
    sum.update(&t.dtype, sizeof t.dtype);
    device::Buffer buffer(device, item.held.bytes());
    loading.load(item, buffer.as<std::byte>());
    if (item.matrix) {
      item.matrix(item.held.at(buffer.as<std::byte>()));
    } else {
      item.vector(buffer.as<float>());
    }
    buffers_.push_back(std::move(buffer));
  }
  if (config.tied_embeddings) output_ = embedding_;
  checksum_ = sum.value();
}

}  // namespace reattn::model
