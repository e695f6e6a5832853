// Random sequences of C-ABI calls on the tiny model: live, freed, foreign and garbage handles, odd
// sizes, any order. Nothing may crash, leak or hang, and every error must come with a message.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "reattn/reattn.h"
#include "tests/support/tiny_llama.hpp"

namespace {

constexpr size_t kMaxCalls = 200;

void require(bool condition) {
  if (!condition) std::abort();
}

// The bytes of one input, consumed as choices; zeros when they are used up.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ == size_; }
  uint8_t byte() { return at_ < size_ ? data_[at_++] : uint8_t{0}; }
  // Mostly small, at times any 64 bits.
  int64_t number() {
    const uint8_t kind = byte();
    if (kind < 200) return kind % 100;
    if (kind < 220) return -static_cast<int64_t>(byte());
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
    return static_cast<int64_t>(bits);
  }
  std::string text() {
    std::string out(byte() % 64, ' ');
    const int mask = byte() % 4 == 0 ? 0xFF : 0x7F;  // any bytes, or ASCII
    for (char& c : out) c = static_cast<char>(byte() & mask);
    return out;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

const reattn::test::TemporaryDirectory& directory() {
  static const reattn::test::TemporaryDirectory d;
  return d;
}

// One model for all inputs: loading it anew for each would leave little time for the calls.
reattn_model* shared_model() {
  struct Free {
    void operator()(reattn_model* m) const { reattn_model_free(m); }
  };
  static const std::unique_ptr<reattn_model, Free> model = [] {
    const std::string path = directory().file("tiny.gguf");
    reattn::test::write_file(path, reattn::test::tiny_llama());
    reattn_model_options options;
    require(reattn_model_options_init(&options, sizeof options, nullptr) == REATTN_OK);
    options.n_threads = 1;
    reattn_model* m = nullptr;
    require(reattn_model_open(reinterpret_cast<const uint8_t*>(path.data()), path.size(), &options,
                              &m, nullptr) == REATTN_OK);
    require(reattn_model_wait(m, -1, nullptr, nullptr) == REATTN_OK);
    return std::unique_ptr<reattn_model, Free>(m);
  }();
  return model.get();
}

// A call sequence and every handle it ever saw, the freed ones too.
class Sequence {
 public:
  Sequence(const uint8_t* data, size_t size) : choices_(data, size) {
    handles_.push_back(nullptr);
    handles_.push_back(shared_model());
    std::get<std::vector<reattn_model*>>(by_type_).push_back(shared_model());
  }

  ~Sequence() {
    for (void* h : handles_) {
      reattn_queue_free(static_cast<reattn_queue*>(h));
      reattn_session_free(static_cast<reattn_session*>(h));
      reattn_cache_free(static_cast<reattn_cache*>(h));
      reattn_request_free(static_cast<reattn_request*>(h));
    }
  }

  void run() {
    make_session();
    for (size_t i = 0; i < kMaxCalls && !choices_.empty(); ++i) step();
  }

 private:
  // Mostly the handles of the right type, which are last in their list when they are newest.
  template <class H>
  H* handle() {
    const uint8_t which = choices_.byte();
    if (which >= 250) {
      return reinterpret_cast<H*>(static_cast<uintptr_t>(choices_.number()));
    }
    const auto& own = std::get<std::vector<H*>>(by_type_);
    if (which < 220 && !own.empty()) return own[own.size() - 1 - which / 16 % own.size()];
    return static_cast<H*>(handles_[which % handles_.size()]);
  }

  // Frees all but the shared model, which every input needs.
  template <class H>
  void release(void (*free)(H*)) {
    H* h = handle<H>();
    if (static_cast<void*>(h) == shared_model()) return;
    free(h);
    std::erase(std::get<std::vector<H*>>(by_type_), h);  // from now on it is drawn as a stale one
  }

  template <class H>
  void keep(reattn_status status, H* const& made) {  // made is written by the call before it
    require((status == REATTN_OK) == (made != nullptr));
    if (!made) return;
    handles_.push_back(made);
    std::get<std::vector<H*>>(by_type_).push_back(made);
  }

  reattn_status checked(reattn_status status) {
    require(status >= REATTN_E_IO && status <= REATTN_TIMEOUT && status != REATTN_E_INTERNAL);
    require((status < 0) == (err_ != nullptr));
    if (err_) {
      require(reattn_error_code(err_) == status && *reattn_error_message(err_) != '\0');
      reattn_error_free(err_);
      err_ = nullptr;
    }
    return status;
  }

  // Mostly a whole append.
  int32_t append_flags() { return choices_.byte() < 190 ? 0 : choices_.byte() % 9; }

  void step();
  void make_session();
  void make_request();
  void step_queue(uint64_t cap);

  Choices choices_;
  std::vector<void*> handles_;
  std::tuple<std::vector<reattn_model*>, std::vector<reattn_session*>, std::vector<reattn_cache*>,
             std::vector<reattn_request*>, std::vector<reattn_queue*>>
      by_type_;
  std::array<uint8_t, 256> buffer_{};
  std::array<int32_t, 64> ids_{};
  std::array<float, 64> floats_{};
  std::array<reattn_span, 8> spans_{};
  uint64_t needed_ = 0;
  reattn_error* err_ = nullptr;
};

void Sequence::make_session() {
  auto* model = handle<reattn_model>();
  auto* cache = choices_.byte() % 4 == 0 ? handle<reattn_cache>() : nullptr;
  reattn_session_options o;
  const bool ready =
      checked(reattn_session_options_init(model, cache, &o, sizeof o, &err_)) == REATTN_OK;
  if (ready) {
    o.n_global = 4;
    o.n_local = 16;
    o.chunk = 8;
    o.span = 4;
    o.n_anchors = 3;
    const uint8_t odd = choices_.byte();
    if (odd == 1) o.selection = static_cast<int32_t>(choices_.number());
    if (odd == 2) o.n_local = choices_.number();
    if (odd == 3) o.top_k = static_cast<int32_t>(choices_.number());
    if (odd == 4) o.max_tokens = choices_.number();
    if (odd == 5) o.struct_size = static_cast<uint32_t>(choices_.number());
    if (odd == 6) o.n_anchors = static_cast<int32_t>(choices_.number());
    // A larger struct_size promises memory that is not there.
    if (o.struct_size > sizeof o && o.struct_size <= 4096) o.struct_size = sizeof o;
  }
  reattn_session* made = nullptr;
  keep(checked(reattn_session_create(model, cache, ready ? &o : nullptr, &made, &err_)), made);
}

void Sequence::make_request() {
  reattn_request_options o;
  checked(reattn_request_options_init(&o, sizeof o, &err_));
  o.max_tokens = choices_.number();
  if (o.max_tokens > 100) o.max_tokens = 100;
  o.ignore_end = choices_.byte() % 4 == 0;
  if (choices_.byte() % 4 == 0) {
    o.temperature = static_cast<float>(choices_.number()) / 16;
    o.top_k = static_cast<int32_t>(choices_.number());
    o.top_p = static_cast<float>(choices_.byte()) / 128;
    o.min_p = static_cast<float>(choices_.byte()) / 512;
  }
  if (choices_.byte() % 4 == 0) {
    o.repetition_penalty = static_cast<float>(choices_.byte()) / 64;
    o.repetition_window = static_cast<int32_t>(choices_.number());
  }
  auto* session = handle<reattn_session>();
  if (choices_.byte() % 2 == 0) {  // something to go on from
    checked(reattn_session_append_ids(session, ids_.data(), ids_.size() / 2, 0, &err_));
  }
  reattn_request* made = nullptr;
  keep(checked(reattn_request_create(session, &o, &made, &err_)), made);
}

void Sequence::step_queue(uint64_t cap) {
  const uint8_t which = choices_.byte() % 16;
  if (which == 0 || std::get<std::vector<reattn_queue*>>(by_type_).empty()) {
    reattn_queue* made = nullptr;
    keep(checked(reattn_queue_create(handle<reattn_model>(), &made, &err_)), made);
    return;
  }
  switch (which) {
    case 1:
      release(reattn_queue_free);
      return;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
      if (choices_.byte() % 8 != 0) {  // one that has not begun, more often than not
        make_session();
        make_request();
      }
      checked(reattn_queue_add(handle<reattn_queue>(), handle<reattn_request>(), choices_.byte(),
                               &err_));
      return;
    default: {
      reattn_event event{};
      event.struct_size = choices_.byte() == 1 ? choices_.byte() % 41u : sizeof event;
      uint64_t tag = 0;
      checked(reattn_queue_next(handle<reattn_queue>(), choices_.byte() % 2 - 1, &tag, &event,
                                buffer_.data(), cap, &needed_, &err_));
      return;
    }
  }
}

void Sequence::step() {
  const uint64_t cap = choices_.byte();  // at most buffer_; the others have less
  const uint64_t n_ids = cap % ids_.size();
  switch (choices_.byte() % 35) {
    case 0:
      return make_session();
    case 1:
      return make_request();
    case 2: {
      const std::string text = choices_.text();
      checked(reattn_session_append_text(handle<reattn_session>(),
                                         reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                         append_flags(), &err_));
      return;
    }
    case 3:
      for (int32_t& id : ids_) id = choices_.byte() + (choices_.byte() % 8 == 0 ? 200 : 0);
      checked(reattn_session_append_ids(handle<reattn_session>(), ids_.data(), n_ids,
                                        append_flags(), &err_));
      return;
    case 4:
    case 5:
    case 6:
    case 24:
    case 25:
    case 26: {
      reattn_event event{};
      event.struct_size = choices_.byte() == 1 ? choices_.byte() % 41u : sizeof event;
      checked(reattn_request_next(handle<reattn_request>(), choices_.byte() % 2 - 1, &event,
                                  buffer_.data(), cap, &needed_, &err_));
      return;
    }
    case 7:
      checked(reattn_request_cancel(handle<reattn_request>(), &err_));
      return;
    case 8: {
      const std::string text = choices_.text();
      checked(reattn_request_add_stop(handle<reattn_request>(),
                                      reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                      &err_));
      return;
    }
    case 34: {
      constexpr std::string_view kSchemas[] = {"{}", R"({"enum":["a",1]})", R"({"type":"array"})",
                                               "{", "false"};
      const std::string_view schema = kSchemas[choices_.byte() % std::size(kSchemas)];
      checked(reattn_request_set_json_schema(handle<reattn_request>(),
                                             reinterpret_cast<const uint8_t*>(schema.data()),
                                             schema.size(), &err_));
      return;
    }
    case 9:
      checked(reattn_request_logits(handle<reattn_request>(), floats_.data(), cap % floats_.size(),
                                    &needed_, &err_));
      return;
    case 10:
      checked(reattn_request_recalled(handle<reattn_request>(), choices_.number(),
                                      choices_.byte() % 5, spans_.data(), cap % spans_.size(),
                                      &needed_, &err_));
      return;
    case 11: {
      reattn_request_stats stats{};
      stats.struct_size = sizeof stats;
      checked(reattn_request_get_stats(handle<reattn_request>(), &stats, &err_));
      return;
    }
    case 12:
      checked(reattn_session_truncate(handle<reattn_session>(), choices_.number(), &err_));
      return;
    case 13: {
      reattn_session* made = nullptr;
      keep(checked(reattn_session_fork(handle<reattn_session>(), &made, &err_)), made);
      return;
    }
    case 14: {
      reattn_cache* made = nullptr;
      keep(checked(reattn_cache_snapshot(handle<reattn_session>(), &made, &err_)), made);
      return;
    }
    case 15: {
      reattn_session_info info{};
      info.struct_size = sizeof info;
      checked(reattn_session_get_info(handle<reattn_session>(), &info, &err_));
      return;
    }
    case 16: {
      auto* session = handle<reattn_session>();
      const int64_t begin = choices_.number(), end = choices_.number();
      checked(reattn_session_tokens(session, begin, end, ids_.data(), n_ids, &needed_, &err_));
      checked(reattn_session_text(session, begin, end, buffer_.data(), cap, &needed_, &err_));
      checked(reattn_session_logprobs(session, begin, end, floats_.data(), n_ids, &needed_, &err_));
      return;
    }
    case 17:
      release(reattn_session_free);
      return;
    case 18:
      release(reattn_request_free);
      return;
    case 19:
      release(reattn_cache_free);
      return;
    case 20:
      release(reattn_model_free);
      return;
    case 21: {
      const std::string text = choices_.text();
      checked(reattn_text_tokenize(handle<reattn_model>(),
                                   reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                   choices_.byte() % 3, ids_.data(), n_ids, &needed_, &err_));
      return;
    }
    case 22: {
      const std::string text = choices_.text();
      checked(reattn_chat_tokenize(handle<reattn_model>(),
                                   reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                   choices_.byte() % 3, ids_.data(), n_ids, &needed_, &err_));
      return;
    }
    case 28:
    case 29:
    case 30:
    case 31:
    case 32:
    case 33:
      return step_queue(cap);
    default: {
      reattn_cache_info info{};
      info.struct_size = sizeof info;
      checked(reattn_cache_get_info(handle<reattn_cache>(), &info, &err_));
      return;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Sequence(data, size).run();
  return 0;
}
