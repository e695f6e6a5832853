#include "kernels/cuda/device/cuda_device.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/cpu/reference/dequantize.hpp"
#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/device/driver.hpp"
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/device/loaded_code.hpp"
#include "kernels/cuda/device/step_graphs.hpp"
#include "kernels/cuda/linear/expand_blocks.hpp"
#include "kernels/cuda/linear/f8.hpp"
#include "kernels/cuda/linear/lt.hpp"
#include "kernels/cuda/ops.hpp"

namespace reattn::kernels::cuda {
namespace {

// Gathered keys and values, halves of activations, cuBLASLt's workspace: measured below this on the models at hand.
constexpr uint64_t kScratchBytes = uint64_t{1} << 30;
constexpr size_t kKeptLandings = 64;
constexpr int32_t kOldest = 80;  // compute capability that the PTX is for

// What the runtime says of a device, and that it can run this build.
struct Properties {
  std::string name;
  int32_t n_sms = 0;
  int32_t capability = 0;
  bool has_sm90a = false;
  size_t most_shared_bytes = 0;

  explicit Properties(int32_t index) {
    const int32_t n = device_count();
    if (index < 0 || index >= n) {
      fail(ErrorCode::kNoDevice, "CUDA: there is no device ", index, ", the driver sees ", n);
    }
    check(cudaSetDevice(index), "cudaSetDevice");
    cudaDeviceProp p{};
    check(cudaGetDeviceProperties(&p, index), "cudaGetDeviceProperties");
    name = p.name;
    n_sms = p.multiProcessorCount;
    capability = 10 * p.major + p.minor;
    if (capability < kOldest) {
      fail(ErrorCode::kNoDevice, "CUDA: ", name, " has compute capability ", p.major, ".", p.minor,
           ", at least 8.0 is needed");
    }
    most_shared_bytes = p.sharedMemPerBlockOptin;
    has_sm90a = capability == 90 && sm90a_code_is_loaded();
  }

  DeviceInfo info(int64_t memory_total, int64_t memory_free) const {
    return {
        "cuda",
        name,
        has_sm90a ? "sm_90a" : concat("compute capability ", capability / 10, ".", capability % 10),
        memory_total,
        memory_free,
        0};
  }
};

// Rows of a type that no kernel expands, as floats in host memory.
std::vector<float> on_host(const Matrix& from) {
  std::vector<float> values(static_cast<size_t>(from.n_rows * from.n_cols));
  for (int64_t row = 0; row < from.n_rows; ++row) {
    reference::dequantize_row(from, row, values.data() + row * from.n_cols);
  }
  return values;
}

class Work {
 public:
  Work() { check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate"); }
  ~Work() { cudaStreamDestroy(stream); }
  cudaStream_t stream = nullptr;
};

// Page-locked host memory and the event after the copy into it.
class Landing {
 public:
  explicit Landing(size_t n_bytes) : bytes(n_bytes) {
    check(cudaMallocHost(&memory, bytes), "cudaMallocHost");
    if (cudaEventCreateWithFlags(&arrived, cudaEventDisableTiming) != cudaSuccess) {
      cudaFreeHost(memory);
      fail(ErrorCode::kInternal, "cudaEventCreate failed");
    }
  }
  ~Landing() {
    cudaEventSynchronize(arrived);  // a copy into it may be under way
    cudaEventDestroy(arrived);
    cudaFreeHost(memory);
  }
  Landing(const Landing&) = delete;
  Landing& operator=(const Landing&) = delete;

  const size_t bytes;
  void* memory = nullptr;
  cudaEvent_t arrived = nullptr;
};

// All work goes to one stream, in the order of the calls: what one session frees another may use at once.
class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int32_t index)
      : index_(index),
        properties_(index),
        memory_(index),
        scratch_(memory_),
        context_{work_.stream,
                 scratch_,
                 memory_,
                 lt_,
                 properties_.n_sms,
                 properties_.capability,
                 properties_.has_sm90a,
                 properties_.most_shared_bytes} {
    landings_.reserve(kKeptLandings);
    lt_.require();  // here, where it can be said, and not in the middle of a document
  }
  ~CudaDevice() override {
    cudaSetDevice(index_);
    cudaStreamSynchronize(work_.stream);
  }

  DeviceInfo info() const override {
    const std::scoped_lock lock(mutex_);
    check(cudaSetDevice(index_), "cudaSetDevice");
    return properties_.info(memory_.total(), memory_.free());
  }

  // Enough rows for the matrix products to fill the chip.
  int64_t super_chunk() const override { return 4096; }
  // Whatever a file has, matrices are multiplied as BF16, or as F8 where that is asked for.
  DType weight_type(DType) const override { return DType::kBF16; }
  bool holds_f8() const override { return true; }
  bool holds(DType kv) const override {
    return kv == DType::kF32 || kv == DType::kF16 || kv == DType::kBF16;
  }
  bool scores_int8() const override { return true; }
  uint64_t scratch_bytes() const override { return kScratchBytes; }

  void* allocate(size_t bytes) override {
    const std::scoped_lock lock(mutex_);
    check(cudaSetDevice(index_), "cudaSetDevice");
    return memory_.allocate(bytes);
  }
  void release(void* memory, size_t bytes) noexcept override {
    const std::scoped_lock lock(mutex_);
    memory_.release(memory, bytes);
  }
  void upload(Stream& s, void* to_device, const void* from_host, size_t bytes) override {
    move(s, to_device, from_host, bytes, cudaMemcpyHostToDevice);
  }
  void upload_weights(Stream& s, void* to_device, const void* from_host, DType file_type,
                      int64_t n_elements) override {
    if (!expands(file_type)) {
      const std::vector<float> values = on_host({from_host, file_type, 1, n_elements});
      return upload_weights(s, to_device, values.data(), DType::kF32, n_elements);
    }
    const std::scoped_lock lock(mutex_);
    enter(s);
    const auto bytes = static_cast<size_t>(row_bytes(file_type, n_elements));
    scratch_.begin(Scratch::padded(bytes));
    void* blocks = scratch_.take<std::byte>(bytes);
    check(cudaMemcpyAsync(blocks, from_host, bytes, cudaMemcpyHostToDevice, work_.stream),
          "cudaMemcpyAsync");
    expand_to_bf16(context_, file_type, blocks, n_elements, to_device);
  }
  void upload_rows(Stream& s, const QuantizeRowsArgs& a) override {
    if (!expands(a.from.dtype)) {
      const std::vector<float> values = on_host(a.from);
      return upload_rows(s, {{values.data(), DType::kF32, a.from.n_rows, a.from.n_cols}, a.to});
    }
    const std::lock_guard lock(mutex_);
    enter(s);
    const auto bytes = static_cast<size_t>(a.from.n_rows * row_bytes(a.from.dtype, a.from.n_cols));
    scratch_.begin(Scratch::padded(bytes));
    QuantizeRowsArgs here = a;
    here.from.data = scratch_.take<std::byte>(bytes);
    check(cudaMemcpyAsync(const_cast<void*>(here.from.data), a.from.data, bytes,
                          cudaMemcpyHostToDevice, work_.stream),
          "cudaMemcpyAsync");
    quantize_rows(context_, here);
  }
  void download(Stream& s, void* to_host, const void* from_device, size_t bytes) override {
    move(s, to_host, from_device, bytes, cudaMemcpyDeviceToHost);
    check(cudaStreamSynchronize(work_.stream), "download");
  }
  void copy(Stream& s, void* to, const void* from, size_t bytes) override {
    move(s, to, from, bytes, cudaMemcpyDeviceToDevice);
  }

  bool runs_ahead() const override { return true; }
  std::unique_ptr<Transfer> make_transfer(size_t max_bytes) override {
    return std::make_unique<LandingTransfer>(*this, max_bytes);
  }

  void fill_random(Stream& s, const Matrix& to, const RandomArgs& a) override {
    const std::scoped_lock lock(mutex_);
    enter(s);
    cuda::fill_random(context_, to, a);
  }
  void qkv(Stream& s, const QkvArgs& a) override { run(s, cuda::qkv, a); }
  void mlp(Stream& s, const MlpArgs& a) override { run(s, cuda::mlp, a); }
  void embed(Stream& s, const EmbedArgs& a) override { run(s, cuda::embed, a); }
  void rms_norm(Stream& s, const RmsNormArgs& a) override { run(s, cuda::rms_norm, a); }
  void matmul(Stream& s, const MatmulArgs& a) override { run(s, cuda::matmul, a); }
  void swiglu(Stream& s, const SwigluArgs& a) override { run(s, cuda::swiglu, a); }
  void geglu(Stream& s, const SwigluArgs& a) override { run(s, cuda::geglu, a); }
  void kv_append(Stream& s, std::span<const KvAppendArgs> a) override {
    run(s, cuda::kv_append, a);
  }
  void quantize_keys(Stream& s, std::span<const QuantizeKeysArgs> a) override {
    run(s, cuda::quantize_keys, a);
  }
  void restore_rows(Stream& s, std::span<const RestoreRowsArgs> a) override {
    run(s, cuda::restore_rows, a);
  }
  void score(Stream& s, std::span<const ScoreArgs> a) override { run(s, cuda::score, a); }
  void vote(Stream& s, std::span<const VoteArgs> a) override { run(s, cuda::vote, a); }
  void expand(Stream& s, std::span<const ExpandArgs> a) override { run(s, cuda::expand, a); }
  void begin_step(Stream& s) override {
    std::unique_lock lock(mutex_);
    enter(s);
    graphs_.begin(work_.stream);
    step_ = std::move(lock);
  }
  void end_step(Stream&) override {
    const std::unique_lock lock = std::move(step_);
    graphs_.launch(work_.stream);
  }
  void forget_step() noexcept override {
    const std::unique_lock lock = std::move(step_);
    graphs_.forget(work_.stream);
  }
  void recall(Stream& s, std::span<const ScoreArgs> scores, std::span<const VoteArgs> votes,
              std::span<const ExpandArgs> expands) override {
    const std::scoped_lock lock(mutex_);
    enter(s);
    cuda::recall(context_, scores, votes, expands);
  }
  void attend(Stream& s, std::span<const AttendArgs> a) override { run(s, cuda::attend, a); }
  void sample(Stream& s, const SampleArgs& a) override { run(s, cuda::sample, a); }
  void logprob(Stream& s, const LogprobArgs& a) override { run(s, cuda::logprob, a); }

 private:
  class LandingTransfer final : public Transfer {
   public:
    LandingTransfer(CudaDevice& device, size_t max_bytes)
        : device_(device), landing_(device.take_landing(max_bytes)) {}
    ~LandingTransfer() override { device_.give_landing(std::move(landing_)); }
    void start(Stream& s, const void* from_device, size_t bytes) override {
      device_.move(s, landing_->memory, from_device, bytes, cudaMemcpyDeviceToHost,
                   landing_->arrived);
    }
    const void* wait() override {
      check(cudaEventSynchronize(landing_->arrived), "download");
      return landing_->memory;
    }

   private:
    CudaDevice& device_;
    std::unique_ptr<Landing> landing_;
  };

  // Making one takes longer than a step. A copy into one that was given back may still be under way: the next is after it.
  std::unique_ptr<Landing> take_landing(size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto fits = [&](const auto& l) { return l->bytes >= bytes && l->bytes / 2 <= bytes; };
    const auto at = std::find_if(landings_.begin(), landings_.end(), fits);
    if (at != landings_.end()) {
      std::unique_ptr<Landing> landing = std::move(*at);
      landings_.erase(at);
      return landing;
    }
    check(cudaSetDevice(index_), "cudaSetDevice");
    return std::make_unique<Landing>(bytes);
  }
  void give_landing(std::unique_ptr<Landing> landing) noexcept {
    const std::scoped_lock lock(mutex_);
    if (landings_.size() < kKeptLandings) landings_.push_back(std::move(landing));
  }

  void enter(const Stream& s) const {
    if (s.cancel != nullptr && s.cancel->load(std::memory_order_acquire)) {
      fail(ErrorCode::kCancelled, "cancelled by the caller");
    }
    check(cudaSetDevice(index_), "cudaSetDevice");
  }
  template <class F, class Args>
  void run(const Stream& s, F&& operation, const Args& a) {
    const std::scoped_lock lock(mutex_);
    enter(s);
    operation(context_, a);
  }
  void move(const Stream& s, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
            cudaEvent_t then = nullptr) {
    if (bytes == 0) return;
    const std::scoped_lock lock(mutex_);
    enter(s);
    check(cudaMemcpyAsync(to, from, bytes, kind, work_.stream), "cudaMemcpyAsync");
    if (then != nullptr) check(cudaEventRecord(then, work_.stream), "cudaEventRecord");
  }

  mutable std::recursive_mutex mutex_;  // of the stream, the scratch and the memory
  int32_t index_;
  Properties properties_;
  Work work_;
  Memory memory_;
  Scratch scratch_;
  Lt lt_;
  std::vector<std::unique_ptr<Landing>> landings_;
  StepGraphs graphs_;
  std::unique_lock<std::recursive_mutex> step_;  // held while a step is captured
  Context context_;
};

}  // namespace

DeviceInfo device_info(int32_t index) {
  const Properties properties(index);
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return properties.info(static_cast<int64_t>(total), static_cast<int64_t>(free));
}

std::shared_ptr<Device> make_device(int32_t index) {
  return std::make_shared<CudaDevice>(index);
}

}  // namespace reattn::kernels::cuda
