// The fast CPU device: the operations of ops.hpp on one thread pool.
#include <utility>

#include "kernels/cpu/device/host_device.hpp"
#include "kernels/cpu/linear/bf16_tiles.hpp"
#include "kernels/cpu/linear/elementwise.hpp"
#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels {
namespace {

class CpuDevice final : public cpu::HostDevice {
 public:
  explicit CpuDevice(int32_t n_threads) : pool_(n_threads) {}

  DeviceInfo info() const override {
    std::string instructions = cpu::vector_instructions();
    if (cpu::has_bf16_tiles()) instructions += ", AMX";
    return describe(std::move(instructions), pool_.n_threads());
  }

  bool scores_int8() const override { return true; }

  void embed(Stream& s, const EmbedArgs& a) override { cpu::embed(context(s), a); }
  void rms_norm(Stream& s, const RmsNormArgs& a) override { cpu::rms_norm(context(s), a); }
  void matmul(Stream& s, const MatmulArgs& a) override { cpu::matmul(context(s), a); }
  void swiglu(Stream& s, const SwigluArgs& a) override { cpu::swiglu(context(s), a); }
  void geglu(Stream& s, const SwigluArgs& a) override { cpu::geglu(context(s), a); }
  void kv_append(Stream& s, std::span<const KvAppendArgs> sequences) override {
    for (const KvAppendArgs& a : sequences) cpu::kv_append(context(s), a);
  }
  void quantize_keys(Stream& s, std::span<const QuantizeKeysArgs> sequences) override {
    for (const QuantizeKeysArgs& a : sequences) cpu::quantize_keys(context(s), a);
  }
  void restore_rows(Stream& s, std::span<const RestoreRowsArgs> sequences) override {
    for (const RestoreRowsArgs& a : sequences) one_task(s, [&] { reference::restore_rows(a); });
  }
  void score(Stream& s, std::span<const ScoreArgs> sequences) override {
    for (const ScoreArgs& a : sequences) cpu::score(context(s), a);
  }
  void vote(Stream& s, std::span<const VoteArgs> sequences) override {
    for (const VoteArgs& a : sequences) one_task(s, [&] { reference::vote(a); });
  }
  void expand(Stream& s, std::span<const ExpandArgs> sequences) override {
    for (const ExpandArgs& a : sequences) one_task(s, [&] { reference::expand(a); });
  }
  void attend(Stream& s, std::span<const AttendArgs> sequences) override {
    for (const AttendArgs& a : sequences) cpu::attend(context(s), a);
  }
  void sample(Stream& s, const SampleArgs& a) override { cpu::sample(context(s), a); }
  void logprob(Stream& s, const LogprobArgs& a) override { cpu::logprob(context(s), a); }

 private:
  cpu::Context context(const Stream& s) { return {pool_, scratch_, s.cancel}; }
  template <class F>
  void one_task(const Stream& s, F&& f) {
    pool_.run(1, s.cancel, [&](int64_t) { f(); });
  }

  cpu::ThreadPool pool_;
  cpu::ScratchPool scratch_;
};

}  // namespace

std::shared_ptr<Device> make_cpu_device(int32_t n_threads) {
  return std::make_shared<CpuDevice>(n_threads);
}

}  // namespace reattn::kernels
