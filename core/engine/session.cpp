#include "core/engine/session.hpp"

#include <algorithm>
#include <limits>

#include "core/device/memory.hpp"
#include "core/engine/exclusive.hpp"
#include "core/text/utf8.hpp"

namespace reattn::engine {

Session::Session(std::shared_ptr<const Model> model, const select::Settings& settings)
    : model_(std::move(model)),
      settings_(settings),
      cache_(model_->device(), layout()),
      logits_(model_->device(), static_cast<size_t>(model_->config().n_vocab) * sizeof(float)) {}

cache::Layout Session::layout() const {
  const model::Config& c = model_->config();
  return cache::layout_of(c.n_layers, c.n_kv_heads, c.head_dim, settings_);
}

std::vector<float> Session::read_logits(const float* logits) const {
  if (!logits) return {};
  std::vector<float> out(static_cast<size_t>(model_->config().n_vocab));
  kernels::Stream stream;
  model_->device()->download(stream, out.data(), logits, logits_.bytes());
  return out;
}

void Session::take_logits(const float* logits) {
  has_logits_ = false;
  kernels::Stream stream;
  model_->device()->copy(stream, logits_.as(), logits, logits_.bytes());
  has_logits_ = true;
}

std::shared_ptr<Session> Session::create(std::shared_ptr<const Model> model,
                                         const select::Settings& settings) {
  const model::Config& config = model->config();
  select::check(settings, config.n_window);
  std::shared_ptr<Session> s(new Session(std::move(model), settings));
  // No step sees a position beyond its scope; without a split it is the window.
  const bool full = settings.selection == select::Selection::kFull;
  const int64_t n_positions = full ? config.n_window : select::scope(settings);
  s->rope_ = std::make_shared<model::Rope>(s->model_->device(), config, n_positions);
  return s;
}

std::shared_ptr<Session> Session::create(std::shared_ptr<const Model> model,
                                         const select::Settings& settings,
                                         const cache::Snapshot& snapshot) {
  if (!(snapshot.identity == model->identity())) {
    fail(ErrorCode::kMismatch, "the snapshot is of another model than ", model->path());
  }
  const select::Settings& read = snapshot.settings;
  const auto same = [](std::string_view name, int64_t asked, int64_t found) {
    if (asked != found) {
      fail(ErrorCode::kMismatch, name, " is ", asked, ", the snapshot was read with ", found,
           ", which cannot be changed");
    }
  };
  same("n_global", settings.n_global, read.n_global);
  same("chunk", settings.chunk, read.chunk);
  same("selection", static_cast<int32_t>(settings.selection), static_cast<int32_t>(read.selection));
  same("kv_dtype", static_cast<int32_t>(settings.kv_dtype), static_cast<int32_t>(read.kv_dtype));
  same("kv_dtype (1: INT8)", settings.int8_cache, read.int8_cache);
  same("scoring", static_cast<int32_t>(settings.scoring), static_cast<int32_t>(read.scoring));
  const auto n_tokens = static_cast<int64_t>(snapshot.ids.size());
  if (settings.max_tokens != 0 && settings.max_tokens < n_tokens) {
    fail(ErrorCode::kArg, "max_tokens is ", settings.max_tokens, ", the snapshot holds ", n_tokens,
         " tokens");
  }
  std::shared_ptr<Session> s = create(std::move(model), settings);
  s->ids_ = snapshot.ids;
  s->logprobs_ = snapshot.logprobs;
  if (!snapshot.logits.empty()) {
    kernels::Stream stream;
    s->model_->device()->upload(stream, s->logits_.as(), snapshot.logits.data(),
                                s->logits_.bytes());
    s->has_logits_ = true;
  }
  s->cache_ = snapshot.cache.share_frozen();
  return s;
}

Session::~Session() = default;

void Session::check_idle(std::string_view what) const {
  if (has_request_.load()) {
    fail(ErrorCode::kBusy, what, ": a request is live on the session; let it end, or free it");
  }
}

int64_t Session::n_queued() const {
  int64_t n = 0;
  for (const Append& a : queue_) n += static_cast<int64_t>(a.ids.size());
  return n;
}

void Session::check_room(int64_t n_more) const {
  const auto n_read = static_cast<int64_t>(ids_.size());
  const int64_t n_queued_tokens = n_queued();
  const int64_t n_all = n_read + n_queued_tokens + n_more;
  const auto refuse = [&](std::string_view bound, int64_t limit) {
    fail(ErrorCode::kArg, "an append of ", n_more, " tokens after ", n_read, " read and ",
         n_queued_tokens, " queued makes ", n_all, ", beyond ", bound, " ", limit);
  };
  if (settings_.max_tokens != 0 && n_all > settings_.max_tokens) {
    refuse("the session's max_tokens of", settings_.max_tokens);
  }
  if (settings_.selection == select::Selection::kFull && n_all > model_->config().n_window) {
    refuse("the model's trained window (selection full) of", model_->config().n_window);
  }
  if (n_all > std::numeric_limits<int32_t>::max()) {
    refuse("the most tokens that any session holds,", std::numeric_limits<int32_t>::max());
  }
  const int64_t n_pages = cache::Layout::n_pages(n_all) - cache_.n_pages();
  const int64_t n_rows =
      std::min(n_all - n_read, std::max<int64_t>(settings_.chunk, model_->device()->super_chunk()));
  const uint64_t needed =
      static_cast<uint64_t>(std::max<int64_t>(0, n_pages)) * cache_.layout().page_bytes() +
      cache_.layout().transient_bytes(n_rows);
  device::check_free(*model_->device(), needed,
                     concat("the rest of a cache for ", n_all, " tokens takes"));
}

std::vector<int32_t> Session::tokenize(const OpenAppend& open) const {
  if (open.text.empty()) return {};
  const text::Tokenizer& tokenizer = model_->tokenizer();
  std::vector<int32_t> ids = tokenizer.encode(open.text, open.flags.parse_special);
  const bool is_first = ids_.empty() && queue_.empty() && open.tokens.ids.empty();
  if (is_first && tokenizer.add_bos() && tokenizer.bos() >= 0 &&
      (ids.empty() || ids.front() != tokenizer.bos())) {
    ids.insert(ids.begin(), tokenizer.bos());
  }
  return ids;
}

Session::OpenAppend& Session::resume(AppendFlags flags) {
  if (!open_) {
    const std::scoped_lock lock(mutex_);
    return open_.emplace(OpenAppend{{{}, flags.logprobs}, {}, 0, flags});
  }
  const AppendFlags& first = open_->flags;
  if (first.logprobs != flags.logprobs || first.parse_special != flags.parse_special) {
    fail(ErrorCode::kArg, "the pieces of one append must agree on all flags but MORE");
  }
  return *open_;
}

// A piece may end inside a character where another follows; anything else is said at once.
void Session::check_text(OpenAppend& open, bool more) {
  const text::Utf8Check check =
      text::check_utf8(std::string_view(open.text).substr(open.n_checked));
  if (!check.valid() && !(check.incomplete && more)) {
    fail(ErrorCode::kArg,
         "the text is not UTF-8: ", check.incomplete ? "it ends inside the character" : "bad byte",
         " at offset ", open.n_checked + check.offset);
  }
  open.n_checked += check.valid() ? open.text.size() - open.n_checked : check.offset;
}

// Takes what the open append holds plus `ids`, and queues it unless more follows. Throws before any change.
void Session::take(OpenAppend& open, std::span<const int32_t> ids, bool more) {
  const std::vector<int32_t> from_text = tokenize(open);
  std::vector<int32_t>& tokens = open.tokens.ids;
  const size_t n_new = from_text.size() + ids.size();
  check_room(static_cast<int64_t>(tokens.size() + n_new));

  const std::scoped_lock lock(mutex_);
  if (tokens.capacity() < tokens.size() + n_new) tokens.reserve(2 * tokens.size() + n_new);
  if (!more) queue_.reserve(queue_.size() + 1);
  tokens.insert(tokens.end(), from_text.begin(), from_text.end());
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  open.text.clear();
  open.n_checked = 0;
  if (more) return;
  if (!tokens.empty()) queue_.push_back(std::move(open.tokens));
  open_.reset();
}

void Session::append_text(std::string_view bytes, AppendFlags flags) {
  const Exclusive exclusive(in_use_, "session");
  check_idle("append");
  const bool was_open = open_.has_value();
  OpenAppend& open = resume(flags);
  const size_t n_before = open.text.size();
  const size_t n_checked = open.n_checked;
  try {
    open.text.append(bytes);
    check_text(open, flags.more);
    if (!flags.more) take(open, {}, false);
  } catch (...) {
    open.text.resize(n_before);
    open.n_checked = n_checked;
    forget_new(was_open);
    throw;
  }
}

void Session::append_ids(std::span<const int32_t> ids, AppendFlags flags) {
  const Exclusive exclusive(in_use_, "session");
  check_idle("append");
  const int64_t n_vocab = model_->config().n_vocab;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= n_vocab) {
      fail(ErrorCode::kArg, "ids[", i, "] is ", ids[i], ", the vocabulary has ", n_vocab,
           " tokens");
    }
  }
  const bool was_open = open_.has_value();
  OpenAppend& open = resume(flags);
  try {
    check_text(open, false);
    take(open, ids, flags.more);
  } catch (...) {
    forget_new(was_open);
    throw;
  }
}

void Session::forget_new(bool was_open) {
  if (was_open) return;
  const std::scoped_lock lock(mutex_);
  open_.reset();
}

void Session::truncate(int64_t n_tokens) {
  const Exclusive exclusive(in_use_, "session");
  check_idle("truncate");
  const std::scoped_lock lock(mutex_);
  const auto n_read = static_cast<int64_t>(ids_.size());
  if (n_tokens < 0 || n_tokens > n_read) {
    fail(ErrorCode::kArg, "n_tokens is ", n_tokens, ", the session has ", n_read);
  }
  queue_.clear();
  open_.reset();
  if (n_tokens == n_read) return;
  cache_.truncate(n_tokens);
  ids_.resize(static_cast<size_t>(n_tokens));
  logprobs_.resize(static_cast<size_t>(n_tokens));
  has_logits_ = false;
}

void Session::check_nothing_queued(std::string_view what) const {
  if (!queue_.empty() || open_) {
    fail(ErrorCode::kBusy, what, ": input is queued and not read; read it, or truncate");
  }
}

std::shared_ptr<Session> Session::fork() {
  const Exclusive exclusive(in_use_, "session");
  check_idle("fork");
  check_nothing_queued("fork");
  std::shared_ptr<Session> s(new Session(model_, settings_));
  s->rope_ = rope_;
  s->ids_ = ids_;
  s->logprobs_ = logprobs_;
  if (has_logits_) s->take_logits(last_logits());
  const std::scoped_lock lock(mutex_);
  s->cache_ = cache_.share();
  return s;
}

std::shared_ptr<const cache::Snapshot> Session::snapshot() {
  const Exclusive exclusive(in_use_, "session");
  check_idle("snapshot");
  check_nothing_queued("snapshot");
  const std::scoped_lock lock(mutex_);
  return std::make_shared<const cache::Snapshot>(
      cache::Snapshot{.identity = model_->identity(),
                      .settings = settings_,
                      .ids = ids_,
                      .logprobs = logprobs_,
                      .logits = read_logits(last_logits()),
                      .cache = cache_.share()});
}

SessionInfo Session::info() const {
  const std::scoped_lock lock(mutex_);
  SessionInfo info;
  info.n_tokens = static_cast<int64_t>(ids_.size());
  info.n_pending =
      n_queued() + n_reading_ + (open_ ? static_cast<int64_t>(open_->tokens.ids.size()) : 0);
  info.n_pages = cache_.n_pages();
  info.n_shared_pages = cache_.n_shared_pages();
  info.kv_bytes = cache_.bytes();
  info.has_request = has_request_.load();
  return info;
}

template <class T>
std::vector<T> Session::range(const std::vector<T>& of, int64_t begin, int64_t end) const {
  const auto n = static_cast<int64_t>(of.size());
  if (begin < 0 || end < begin || end > n) {
    fail(ErrorCode::kArg, "the range [", begin, ", ", end, ") does not lie within the ", n,
         " tokens of the session");
  }
  return {of.begin() + begin, of.begin() + end};
}

std::vector<int32_t> Session::tokens(int64_t begin, int64_t end) const {
  const std::scoped_lock lock(mutex_);
  return range(ids_, begin, end);
}

std::string Session::text(int64_t begin, int64_t end) const {
  return model_->tokenizer().decode(tokens(begin, end));
}

std::vector<float> Session::logprobs(int64_t begin, int64_t end) const {
  const std::scoped_lock lock(mutex_);
  return range(logprobs_, begin, end);
}

}  // namespace reattn::engine
