// The fast CPU device: the operations of ops.hpp on one thread pool.
#include <cstring>
#include <mutex>

#include "kernels/cpu/device/host.hpp"
#include "kernels/cpu/device/memory.hpp"
#include "kernels/cpu/linear/elementwise.hpp"
#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels {
namespace {

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int32_t n_threads) : pool_(n_threads) {}

  DeviceInfo info() const override {
    const cpu::HostMemory memory = cpu::host_memory();
    return {"cpu",        cpu::processor_name(), cpu::vector_instructions(),
            memory.total, memory.free,           pool_.n_threads()};
  }

  void* allocate(size_t bytes) override {
    const std::lock_guard lock(allocating_);
    return cpu::allocate_memory(bytes);
  }
  void release(void* memory, size_t) noexcept override { cpu::release_memory(memory); }
  void upload(Stream& s, void* to_device, const void* from_host, size_t bytes) override {
    copy(s, to_device, from_host, bytes);
  }
  void download(Stream& s, void* to_host, const void* from_device, size_t bytes) override {
    copy(s, to_host, from_device, bytes);
  }
  void copy(Stream&, void* to, const void* from, size_t bytes) override {
    if (bytes > 0) std::memmove(to, from, bytes);
  }

  void embed(Stream& s, const EmbedArgs& a) override { cpu::embed(context(s), a); }
  void rms_norm(Stream& s, const RmsNormArgs& a) override { cpu::rms_norm(context(s), a); }
  void matmul(Stream& s, const MatmulArgs& a) override { cpu::matmul(context(s), a); }
  void swiglu(Stream& s, const SwigluArgs& a) override { cpu::swiglu(context(s), a); }
  void kv_append(Stream& s, std::span<const KvAppendArgs> sequences) override {
    for (const KvAppendArgs& a : sequences) cpu::kv_append(context(s), a);
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

  std::mutex allocating_;  // one at a time: what is free is asked, then taken
  cpu::ThreadPool pool_;
  cpu::ScratchPool scratch_;
};

}  // namespace

std::shared_ptr<Device> make_cpu_device(int32_t n_threads) {
  return std::make_shared<CpuDevice>(n_threads);
}

}  // namespace reattn::kernels
