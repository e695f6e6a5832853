// What the handles of models, sessions, snapshots, requests and queues name.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "capi/handles.hpp"
#include "core/engine/model.hpp"
#include "core/engine/queue.hpp"
#include "core/engine/request.hpp"
#include "core/engine/session.hpp"

namespace reattn::capi {

// A model that is loading, loaded, failed, or a header alone.
class ModelObject {
 public:
  static constexpr Kind kKind = Kind::kModel;
  static constexpr const char* kName = "model";
  using Handle = reattn_model;

  // Reads the header here, or starts the thread that loads.
  ModelObject(std::string path, const reattn_model_options& options);
  // Starts the thread that makes up the weights.
  ModelObject(const reattn_geometry& geometry, const reattn_model_options& options);
  ~ModelObject();
  ModelObject(const ModelObject&) = delete;
  ModelObject& operator=(const ModelObject&) = delete;

  // True once loading has ended; throws what it failed with.
  bool wait(int64_t timeout_ms) const;
  void cancel_load() const noexcept { progress_.cancel.store(true); }
  uint64_t bytes_done() const noexcept { return progress_.bytes_done.load(); }
  uint64_t bytes_total() const noexcept { return progress_.bytes_total.load(); }

  // Both throw kBusy while loading and what it failed with after; model() also kUnsupported when
  // only the header was opened.
  const engine::ModelHeader& header() const;
  std::shared_ptr<const engine::Model> model() const;

  bool header_only() const noexcept { return header_.has_value(); }
  // That it is, or would be, opened on.
  const kernels::Device& device() const noexcept { return *device_; }

 private:
  using Make = std::function<std::shared_ptr<const engine::Model>()>;
  void load(const Make& make) noexcept;
  void check_loaded() const;

  const std::string path_;
  std::shared_ptr<kernels::Device> device_;
  std::optional<engine::ModelHeader> header_;  // with header_only, and then nothing below is used

  mutable engine::LoadProgress progress_;
  mutable std::mutex mutex_;
  mutable std::condition_variable ended_;
  bool has_ended_ = false;                      // guarded by mutex_, as are the next two
  std::shared_ptr<const engine::Model> model_;  // where it loaded
  std::exception_ptr error_;                    // where it failed
  std::thread thread_;
};

struct SessionObject {
  static constexpr Kind kKind = Kind::kSession;
  static constexpr const char* kName = "session";
  using Handle = reattn_session;

  std::shared_ptr<engine::Session> session;
};

struct CacheObject {
  static constexpr Kind kKind = Kind::kCache;
  static constexpr const char* kName = "cache";
  using Handle = reattn_cache;

  std::shared_ptr<const cache::Snapshot> snapshot;
};

struct RequestObject {
  static constexpr Kind kKind = Kind::kRequest;
  static constexpr const char* kName = "request";
  using Handle = reattn_request;

  std::shared_ptr<engine::Request> request;
  std::mutex in_use;  // held by next and add_stop; nobody ever waits for it
  std::optional<engine::Event>
      pending;  // made, but the caller's buffer was too small; in_use guards
};

struct QueueObject {
  static constexpr Kind kKind = Kind::kQueue;
  static constexpr const char* kName = "queue";
  using Handle = reattn_queue;

  explicit QueueObject(std::shared_ptr<const engine::Model> model) : queue(std::move(model)) {}

  engine::Queue queue;
  std::mutex in_use;  // held by next; nobody ever waits for it
};

reattn_event to_event(const engine::Event& event);

// The settings between reattn.h and the engine. Throws kArg for an unknown enumerator.
select::Settings to_settings(const reattn_session_options& options);
reattn_session_options from_settings(const select::Settings& settings);

}  // namespace reattn::capi
