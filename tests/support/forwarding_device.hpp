// A device that hands everything on to another one: the base of those that answer a question differently.
#pragma once

#include <memory>
#include <utility>

#include "reattn/kernels/device.hpp"

namespace reattn::test {

class ForwardingDevice : public kernels::Device {
 public:
  using Stream = kernels::Stream;

  explicit ForwardingDevice(std::shared_ptr<kernels::Device> to) : to_(std::move(to)) {}

  kernels::DeviceInfo info() const override { return to_->info(); }
  int64_t super_chunk() const override { return to_->super_chunk(); }
  bool holds(kernels::DType kv) const override { return to_->holds(kv); }
  bool scores_int8() const override { return to_->scores_int8(); }
  uint64_t scratch_bytes() const override { return to_->scratch_bytes(); }

  void* allocate(size_t bytes) override { return to_->allocate(bytes); }
  void release(void* memory, size_t bytes) noexcept override { to_->release(memory, bytes); }
  void upload(Stream& s, void* to_device, const void* from_host, size_t bytes) override {
    to_->upload(s, to_device, from_host, bytes);
  }
  void download(Stream& s, void* to_host, const void* from_device, size_t bytes) override {
    to_->download(s, to_host, from_device, bytes);
  }
  void copy(Stream& s, void* to, const void* from, size_t bytes) override {
    to_->copy(s, to, from, bytes);
  }

  void embed(Stream& s, const kernels::EmbedArgs& a) override { to_->embed(s, a); }
  void rms_norm(Stream& s, const kernels::RmsNormArgs& a) override { to_->rms_norm(s, a); }
  void matmul(Stream& s, const kernels::MatmulArgs& a) override { to_->matmul(s, a); }
  void swiglu(Stream& s, const kernels::SwigluArgs& a) override { to_->swiglu(s, a); }
  void geglu(Stream& s, const kernels::SwigluArgs& a) override { to_->geglu(s, a); }
  void kv_append(Stream& s, std::span<const kernels::KvAppendArgs> a) override {
    to_->kv_append(s, a);
  }
  void quantize_keys(Stream& s, std::span<const kernels::QuantizeKeysArgs> a) override {
    to_->quantize_keys(s, a);
  }
  void restore_rows(Stream& s, std::span<const kernels::RestoreRowsArgs> a) override {
    to_->restore_rows(s, a);
  }
  void score(Stream& s, std::span<const kernels::ScoreArgs> a) override { to_->score(s, a); }
  void vote(Stream& s, std::span<const kernels::VoteArgs> a) override { to_->vote(s, a); }
  void expand(Stream& s, std::span<const kernels::ExpandArgs> a) override { to_->expand(s, a); }
  void attend(Stream& s, std::span<const kernels::AttendArgs> a) override { to_->attend(s, a); }
  void sample(Stream& s, const kernels::SampleArgs& a) override { to_->sample(s, a); }
  void logprob(Stream& s, const kernels::LogprobArgs& a) override { to_->logprob(s, a); }

 private:
  std::shared_ptr<kernels::Device> to_;
};

}  // namespace reattn::test
