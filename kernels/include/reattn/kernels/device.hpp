// The seam between the engine and the machines it runs on: a device has memory and offers operations.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "reattn/kernels/attend.hpp"
#include "reattn/kernels/error.hpp"
#include "reattn/kernels/kv_append.hpp"
#include "reattn/kernels/linear.hpp"
#include "reattn/kernels/random.hpp"
#include "reattn/kernels/sample.hpp"
#include "reattn/kernels/select.hpp"
#include "reattn/kernels/types.hpp"

namespace reattn::kernels {

struct DeviceInfo {
  std::string kind;          // "cpu", "cuda"
  std::string name;          // as the machine calls itself, e.g. the processor's brand string
  std::string instructions;  // what the kernels were dispatched to, e.g. "AVX2"
  int64_t memory_total = 0;  // bytes
  int64_t memory_free = 0;   // bytes; what could be allocated now
  int32_t n_threads = 0;     // of the pool, the caller included; 0 where it means nothing
};

// Operations on one stream run in the order they are given. An operation throws Error(kCancelled) soon after
// *cancel became true (polled at every tile); what it was to write is then undefined.
struct Stream {
  const std::atomic<bool>* cancel = nullptr;  // may be null
};

// Device memory on its way to the host, while operations called later may overwrite it. Its device outlives it.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // Copies what the operations called before have left there. What an earlier start brought is gone.
  virtual void start(Stream& s, const void* from_device, size_t bytes) = 0;
  // The copy, in host memory.
  virtual const void* wait() = 0;
};

// Any number of threads may use one device at once, each with its own Stream. All pointers in the arguments are
// device memory unless the argument says otherwise; operations report nothing to the host but through download() and a Transfer.
// What touches a cache takes a list of sequences, one entry each, so that sessions can be stepped together.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceInfo info() const = 0;
  // Tokens that are carried through one layer together (a super-chunk); 0: one chunk at a time.
  virtual int64_t super_chunk() const { return 0; }
  // The type that a matrix is held in whose file has another; vectors are always f32.
  virtual DType weight_type(DType file_type) const { return file_type; }
  // Whether matrices may be held as F8: upload_rows, fill_random, matmul, qkv and mlp know it, embed does not.
  virtual bool holds_f8() const { return false; }
  // Whether cache pages may be of this type; F32 and F16 always may.
  virtual bool holds(DType kv) const { return kv == DType::kF32 || kv == DType::kF16; }
  // Whether score() reads KvPages.k8, and quantize_keys() fills it.
  virtual bool scores_int8() const { return false; }
  // Memory that operations take for themselves, at most, in a step of the usual sizes.
  virtual uint64_t scratch_bytes() const { return 0; }

  // 64-byte aligned, uninitialised. Throws Error(kOomHost or kOomDevice).
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory, size_t bytes) noexcept = 0;
  virtual void upload(Stream& s, void* to_device, const void* from_host, size_t bytes) = 0;
  // Elements of a matrix, whole blocks of its file's type, to memory that holds them in weight_type(file_type).
  virtual void upload_weights(Stream& s, void* to_device, const void* from_host, DType file_type,
                              int64_t n_elements);
  // Whole rows of a matrix, `from` in host memory, held as F8. Throws Error(kUnsupported) unless holds_f8().
  virtual void upload_rows(Stream& s, const QuantizeRowsArgs& a);
  // Random numbers in a matrix held in weight_type(kBF16) or as F8, rounded to BF16 first. `to.data` is written.
  virtual void fill_random(Stream& s, const Matrix& to, const RandomArgs& a);
  virtual void download(Stream& s, void* to_host, const void* from_device, size_t bytes) = 0;
  virtual void copy(Stream& s, void* to, const void* from, size_t bytes) = 0;  // device to device
  // Whether operations run after their call has returned: then the next step is called before the host knows with which token
  // it begins.
  virtual bool runs_ahead() const { return false; }
  virtual std::unique_ptr<Transfer> make_transfer(size_t max_bytes);

  virtual void embed(Stream& s, const EmbedArgs& a) = 0;
  virtual void rms_norm(Stream& s, const RmsNormArgs& a) = 0;
  virtual void matmul(Stream& s, const MatmulArgs& a) = 0;
  virtual void swiglu(Stream& s, const SwigluArgs& a) = 0;
  virtual void geglu(Stream& s, const SwigluArgs& a) = 0;
  virtual void kv_append(Stream& s, std::span<const KvAppendArgs> sequences) = 0;
  // Throws Error(kUnsupported) unless scores_int8().
  virtual void quantize_keys(Stream& s, std::span<const QuantizeKeysArgs> sequences);
  virtual void restore_rows(Stream& s, std::span<const RestoreRowsArgs> sequences);
  virtual void score(Stream& s, std::span<const ScoreArgs> sequences) = 0;
  virtual void vote(Stream& s, std::span<const VoteArgs> sequences) = 0;
  virtual void expand(Stream& s, std::span<const ExpandArgs> sequences) = 0;
  virtual void attend(Stream& s, std::span<const AttendArgs> sequences) = 0;
  virtual void sample(Stream& s, const SampleArgs& a) = 0;
  virtual void logprob(Stream& s, const LogprobArgs& a) = 0;

  // Made of those above unless a device has something better.
  virtual void qkv(Stream& s, const QkvArgs& a);
  virtual void mlp(Stream& s, const MlpArgs& a);
  // The operations called between these two, by one thread, are a step that is much like the one before it: a device may take
  // it as a whole. Nothing that goes from or to the host is called then; other threads wait. forget_step() takes the
  // place of end_step() where one of them has thrown.
  virtual void begin_step(Stream&) {}
  virtual void end_step(Stream&) {}
  virtual void forget_step() noexcept {}
  // score, vote and expand; entry i of each list belongs to the same sequence, and takes from the one before what it made.
  virtual void recall(Stream& s, std::span<const ScoreArgs> scores, std::span<const VoteArgs> votes,
                      std::span<const ExpandArgs> expands);
};

// The fast CPU device. n_threads 0: as many as the process may use.
std::shared_ptr<Device> make_cpu_device(int32_t n_threads);

// Plain loops, one thread, no intrinsics: the specification of every operation, and the oracle of every faster one.
std::shared_ptr<Device> make_reference_device();

}  // namespace reattn::kernels
