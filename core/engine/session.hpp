// One conversation with one document: its tokens, its cache and what waits to be read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/cache/kv_cache.hpp"
#include "core/cache/snapshot.hpp"
#include "core/engine/model.hpp"
#include "core/model/rope.hpp"
#include "core/select/settings.hpp"

namespace reattn::engine {

struct AppendFlags {
  bool more = false;           // this append goes on with the next piece
  bool parse_special = false;  // text only: special tokens in it become their ids
  bool logprobs = false;       // keep the log-probability of each token of this append
};

struct SessionInfo {
  int64_t n_tokens = 0;  // committed
  int64_t n_pending =
      0;  // tokens queued and not yet read; of an unfinished append, what is known of it
  uint64_t kv_bytes = 0;  // cache pages held, shared ones included
  int64_t n_pages = 0;
  int64_t n_shared_pages = 0;  // of these, shared with forks and snapshots
  bool has_request = false;
};

// Calls that change the session are for one caller at a time: an overlap throws Error(kBusy) and changes nothing. While a
// request lives on it, append, truncate, fork and snapshot throw Error(kBusy) too. info, tokens, text and
// logprobs may be called from any thread at any time.
class Session {
 public:
  static std::shared_ptr<Session> create(std::shared_ptr<const Model> model,
                                         const select::Settings& settings);
  // Goes on from a snapshot. Of the settings n_local, n_anchors, top_k, span and vote_stride may differ from those
  // it was read with; any other difference throws Error(kMismatch) naming it.
  static std::shared_ptr<Session> create(std::shared_ptr<const Model> model,
                                         const select::Settings& settings,
                                         const cache::Snapshot& snapshot);
  ~Session();

  // Check, tokenise and queue; reading happens in Request::next. Throws Error(kArg): invalid UTF-8 (with its offset),
  // ids outside the vocabulary, beyond max_tokens or (selection full) the window; Error(kOomHost/kOomDevice): the
  // cache for it would not fit into free memory. Nothing is queued then.
  void append_text(std::string_view bytes, AppendFlags flags);
  void append_ids(std::span<const int32_t> ids, AppendFlags flags);

  // Forgets all tokens from n_tokens on, and everything queued.
  void truncate(int64_t n_tokens);
  // A session with the same content that shares this one's pages until either writes.
  std::shared_ptr<Session> fork();
  std::shared_ptr<const cache::Snapshot> snapshot();

  SessionInfo info() const;
  std::vector<int32_t> tokens(int64_t begin, int64_t end) const;
  std::string text(int64_t begin, int64_t end) const;  // source bytes
  // log p(token | what came before), NaN where it was not kept (and for the very first token).
  std::vector<float> logprobs(int64_t begin, int64_t end) const;

  const Model& model() const { return *model_; }
  const select::Settings& settings() const { return settings_; }

 private:
  friend class Request;
  Session(std::shared_ptr<const Model> model, const select::Settings& settings);

  // One run of ids that becomes chunks from its own start.
  struct Append {
    std::vector<int32_t> ids;
    bool logprobs = false;
  };
  // The pieces so far of an append that goes on.
  struct OpenAppend {
    Append tokens;
    std::string text;      // its last text pieces, not yet tokenised
    size_t n_checked = 0;  // bytes of it that are whole UTF-8
    AppendFlags flags;
  };

  void check_idle(std::string_view what) const;
  void check_room(int64_t n_more) const;
  void check_nothing_queued(std::string_view what) const;
  OpenAppend& resume(AppendFlags flags);
  static void check_text(OpenAppend& open, bool more);
  std::vector<int32_t> tokenize(const OpenAppend& open) const;
  void take(OpenAppend& open, std::span<const int32_t> ids, bool more);
  void forget_new(bool was_open);
  template <class T>
  std::vector<T> range(const std::vector<T>& of, int64_t begin, int64_t end) const;
  int64_t n_queued() const;
  cache::Layout layout() const;
  // Null where they are not known.
  const float* last_logits() const { return has_logits_ ? logits_.as<float>() : nullptr; }
  std::vector<float> read_logits(const float* logits) const;  // none of null
  void take_logits(const float* logits);                      // a copy of device memory

  std::shared_ptr<const Model> model_;
  select::Settings settings_;
  std::shared_ptr<const model::Rope> rope_;
  std::atomic<bool> in_use_{false};
  std::atomic<bool> has_request_{false};

  mutable std::mutex mutex_;     // guards all below against readers from other threads
  std::vector<int32_t> ids_;     // committed tokens
  std::vector<float> logprobs_;  // beside ids_
  std::vector<Append> queue_;    // complete appends, in order
  int64_t n_reading_ = 0;        // tokens that the live request has taken from queue_ and not read
  std::optional<OpenAppend> open_;
  cache::KvCache cache_;
  device::Buffer logits_;    // f32 [n_vocab], after the last committed token
  bool has_logits_ = false;  // they are known
};

}  // namespace reattn::engine
