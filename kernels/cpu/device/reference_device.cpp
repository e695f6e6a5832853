// The reference device: plain loops on the calling thread.
#include "kernels/cpu/device/host_device.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels {
namespace {

class ReferenceDevice final : public cpu::HostDevice {
 public:
  DeviceInfo info() const override { return describe("reference", 1); }

  bool holds(DType kv) const override { return kv == DType::kBF16 || HostDevice::holds(kv); }
  bool holds_f8() const override { return true; }
  bool scores_int8() const override { return true; }

  void upload_rows(Stream& s, const QuantizeRowsArgs& a) override {
    run(s, reference::quantize_rows, a);
  }
  void embed(Stream& s, const EmbedArgs& a) override { run(s, reference::embed, a); }
  void rms_norm(Stream& s, const RmsNormArgs& a) override { run(s, reference::rms_norm, a); }
  void matmul(Stream& s, const MatmulArgs& a) override { run(s, reference::matmul, a); }
  void swiglu(Stream& s, const SwigluArgs& a) override { run(s, reference::swiglu, a); }
  void geglu(Stream& s, const SwigluArgs& a) override { run(s, reference::geglu, a); }
  void kv_append(Stream& s, std::span<const KvAppendArgs> sequences) override {
    for (const KvAppendArgs& a : sequences) run(s, reference::kv_append, a);
  }
  void quantize_keys(Stream& s, std::span<const QuantizeKeysArgs> sequences) override {
    for (const QuantizeKeysArgs& a : sequences) run(s, reference::quantize_keys, a);
  }
  void restore_rows(Stream& s, std::span<const RestoreRowsArgs> sequences) override {
    for (const RestoreRowsArgs& a : sequences) run(s, reference::restore_rows, a);
  }
  void score(Stream& s, std::span<const ScoreArgs> sequences) override {
    for (const ScoreArgs& a : sequences) run(s, reference::score, a);
  }
  void vote(Stream& s, std::span<const VoteArgs> sequences) override {
    for (const VoteArgs& a : sequences) run(s, reference::vote, a);
  }
  void expand(Stream& s, std::span<const ExpandArgs> sequences) override {
    for (const ExpandArgs& a : sequences) run(s, reference::expand, a);
  }
  void attend(Stream& s, std::span<const AttendArgs> sequences) override {
    for (const AttendArgs& a : sequences) run(s, reference::attend, a);
  }
  void sample(Stream& s, const SampleArgs& a) override { run(s, reference::sample, a); }
  void logprob(Stream& s, const LogprobArgs& a) override { run(s, reference::logprob, a); }

 private:
  template <class Args>
  static void run(const Stream& s, void (*operation)(const Args&), const Args& a) {
    if (s.cancel != nullptr && s.cancel->load(std::memory_order_acquire)) {
      fail(ErrorCode::kCancelled, "cancelled by the caller");
    }
    operation(a);
  }
};

}  // namespace

std::shared_ptr<Device> make_reference_device() {
  return std::make_shared<ReferenceDevice>();
}

}  // namespace reattn::kernels
