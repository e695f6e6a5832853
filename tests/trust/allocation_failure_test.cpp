// Memory that runs out at any one allocation, or at one and at all after it: each call gives OOM_HOST or does its work, nothing leaks
// (under AddressSanitizer), the call done again succeeds, and other sessions answer as before. What Rust allocates inside the text
// library is not counted: Rust ends the process there (docs/security.md).
#include <array>
#include <functional>

#include "tests/capi/api.hpp"
#include "tests/support/safetensors_builder.hpp"
#include "tests/trust/fault.hpp"

namespace reattn::test {
namespace {

constexpr int64_t kAnswer = 4;
const std::string kDocument = document(400);  // a middle to recall from
const std::string kQuestion = "\nWhich room? ";
const std::string kChat = R"([{"role": "user", "content": "Which room?"}])";

// One try: `act` calls the library and nothing else, with memory failing; `finish` checks what it did, with memory back, after
// doing it again where it failed.
struct Attempt {
  std::function<reattn_status(reattn_error**)> act;
  std::function<void(bool succeeded)> finish;
};

// Where the result goes: room that was there before.
struct Room {
  std::array<uint8_t, 8192> text{};
  std::array<int32_t, 1024> ids{};
  std::array<float, 512> floats{};
  std::array<reattn_span, 256> spans{};
  uint64_t n = 0, other = 0;
};

class AllocationFailure : public ApiTest {
 protected:
  static Session read_session() { return fork(base()); }

  // Read once; every attempt works on forks and copies of it.
  static reattn_session* base() {
    static const Session s = read(kDocument);
    return s.get();
  }
  static const Answer& expected() {
    static const Answer answer = answer_of(read_session().get());
    return answer;
  }
  static Answer answer_of(reattn_session* session) {
    append(session, kQuestion);
    return ask(session, kAnswer);
  }
  static Cache snapshot() {
    reattn_cache* cache = nullptr;
    EXPECT_OK(call(reattn_cache_snapshot, base(), &cache));
    return Cache(cache);
  }

  static void open_and_free(const char* what, const std::string& path);

  static void fail_everywhere(const char* what, const std::function<Attempt()>& make) {
    expected();
    int64_t n_points = 0;
    for (const bool and_all_after : {false, true}) {
      bool has_failed = true;
      for (int64_t at = 0; has_failed; ++at) {
        const Attempt attempt = make();
        reattn_error* err = nullptr;
        arm({.calls = Call::kAllocation | Call::kThread, .at = at, .and_all_after = and_all_after});
        const reattn_status status = attempt.act(&err);
        has_failed = disarm();
        const Result result{status, err ? reattn_error_message(err) : ""};
        EXPECT_EQ(err ? reattn_error_code(err) : REATTN_OK, status);
        reattn_error_free(err);
        ASSERT_TRUE(status == REATTN_OK || (has_failed && status == REATTN_E_OOM_HOST))
            << what << ", allocation " << at << ": " << result;
        attempt.finish(status == REATTN_OK);
        if (at % 64 == 0) {
          EXPECT_EQ(answer_of(read_session().get()), expected()) << "another session";
        }
        ASSERT_FALSE(HasFailure()) << what << ", allocation " << at << ": " << result;
        n_points += has_failed;
      }
    }
    EXPECT_EQ(answer_of(read_session().get()), expected()) << "another session";
    EXPECT_GT(n_points, 0);
    std::printf("%s: %lld failures survived\n", what, static_cast<long long>(n_points));
    RecordProperty("failures", std::to_string(n_points));
  }

  // One call, which is repeated where it failed.
  static Attempt one_call(const std::function<reattn_status(reattn_error**)>& act,
                          const std::function<void()>& check) {
    return {act, [=](bool succeeded) {
              if (!succeeded) {
                ASSERT_EQ(act(nullptr), REATTN_OK);
              }
              check();
            }};
  }
};

reattn_status read_events(reattn_request* request, reattn_error** err) {
  for (;;) {
    auto event = sized<reattn_event>();
    std::array<uint8_t, 256> text;
    uint64_t n = 0;
    const reattn_status status =
        reattn_request_next(request, -1, &event, text.data(), text.size(), &n, err);
    if (status != REATTN_OK) return status == REATTN_END ? REATTN_OK : status;
  }
}

void AllocationFailure::open_and_free(const char* what, const std::string& path) {
  fail_everywhere(what, [&path] {
    auto made = std::make_shared<Model>();
    const auto act = [made, &path](reattn_error** err) {
      reattn_model_options options;
      reattn_model* m = nullptr;
      reattn_status status = reattn_model_options_init(&options, sizeof options, err);
      options.device = REATTN_DEVICE_CPU;
      options.n_threads = 1;
      if (status == REATTN_OK) {
        status = reattn_model_open(bytes(path), path.size(), &options, &m, err);
      }
      if (status == REATTN_OK) status = reattn_model_wait(m, -1, nullptr, err);
      made->reset(status == REATTN_OK ? m : nullptr);
      if (status != REATTN_OK) reattn_model_free(m);
      return status;
    };
    return one_call(act, [made] {
      auto info = sized<reattn_model_info>();
      EXPECT_OK(call(reattn_model_get_info, made->get(), &info));
      EXPECT_EQ(info.n_vocab, 300);
      Session s = new_session(made->get());
      append(s.get(), kQuestion);
      EXPECT_EQ(ask(s.get(), 1).tokens.size(), 1u);
      s.reset();
      arm({.calls = Call::kAllocation | Call::kThread, .at = 0, .and_all_after = true});
      made->reset();
      disarm();
    });
  });
}

TEST_F(AllocationFailure, OpenAndFreeAModel) {
  open_and_free("open a model", model_path());
}

TEST_F(AllocationFailure, OpenAndFreeAFolder) {
  const std::string path = directory().file("folder");
  write_files(path, TinyFolder{.n_vocab = 300}.files());
  open_and_free("open a folder", path);
}

TEST_F(AllocationFailure, OpenAHeaderAndAskItEverything) {
  model_path();
  fail_everywhere("open a header", [] {
    auto room = std::make_shared<Room>();
    const auto act = [room](reattn_error** err) {
      reattn_model_options options;
      reattn_model* m = nullptr;
      reattn_model_options_init(&options, sizeof options, nullptr);
      options.device = REATTN_DEVICE_CPU;
      options.header_only = 1;
      reattn_status status =
          reattn_model_open(bytes(model_path()), model_path().size(), &options, &m, err);
      auto info = sized<reattn_model_info>();
      auto plan = sized<reattn_memory_plan>();
      if (status == REATTN_OK) status = reattn_model_get_info(m, &info, err);
      if (status == REATTN_OK) status = reattn_model_estimate(m, nullptr, 1000, &plan, err);
      for (int64_t i = 0; status == REATTN_OK && i < info.n_metadata; ++i) {
        status = reattn_model_metadata(m, i, room->text.data(), 4096, &room->n,
                                       room->text.data() + 4096, 4096, &room->other, err);
      }
      reattn_model_free(m);
      return status;
    };
    return one_call(act, [room] { EXPECT_GT(room->other, 0u); });
  });
}

TEST_F(AllocationFailure, TextAndChat) {
  const auto everything = [](Room& room, reattn_error** err) {
    reattn_status status = reattn_text_tokenize(model(), bytes(kDocument), kDocument.size(), 1,
                                                room.ids.data(), room.ids.size(), &room.n, err);
    if (status != REATTN_OK) return status;
    status = reattn_text_detokenize(model(), room.ids.data(), room.n, room.text.data(),
                                    room.text.size(), &room.other, err);
    if (status != REATTN_OK) return status;
    status = reattn_chat_render(model(), bytes(kChat), kChat.size(), 1, room.text.data() + 4096,
                                4096, &room.other, err);
    if (status != REATTN_OK) return status;
    return reattn_chat_tokenize(model(), bytes(kChat), kChat.size(), 1, room.ids.data() + 512, 512,
                                &room.other, err);
  };
  static Room expected;
  ASSERT_EQ(everything(expected, nullptr), REATTN_OK);
  fail_everywhere("text and chat", [&] {
    auto room = std::make_shared<Room>();
    return one_call([=](reattn_error** err) { return everything(*room, err); },
                    [room] {
                      EXPECT_EQ(room->n, expected.n);
                      EXPECT_EQ(room->ids, expected.ids);
                      EXPECT_EQ(room->text, expected.text);
                    });
  });
}

TEST_F(AllocationFailure, CreateASession) {
  const reattn_session_options options = small_options(model());
  fail_everywhere("create a session", [&] {
    auto made = std::make_shared<Session>();
    return one_call(
        [=](reattn_error** err) {
          reattn_session* s = nullptr;
          const reattn_status status = reattn_session_create(model(), nullptr, &options, &s, err);
          made->reset(s);
          return status;
        },
        [made] { EXPECT_EQ(n_tokens(made->get()), 0); });
  });
}

TEST_F(AllocationFailure, Append) {
  const size_t half = kQuestion.size() / 2;
  const std::vector<int32_t> ids(40, 50);
  static const std::vector<int32_t> kExpected = [&] {
    const Session s = read_session();
    append(s.get(), kQuestion);
    EXPECT_OK(call(reattn_session_append_ids, s.get(), ids.data(), ids.size(), 0));
    ask(s.get(), 0);
    return tokens(s.get());
  }();
  fail_everywhere("append", [&] {
    struct State {
      Session session = read_session();
      int n_done = 0;
    };
    auto state = std::make_shared<State>();
    // Goes on after the calls that were made: one that failed has changed nothing.
    const auto act = [=](reattn_error** err) {
      reattn_session* s = state->session.get();
      reattn_status status = REATTN_OK;
      if (state->n_done == 0) {
        status = reattn_session_append_text(s, bytes(kQuestion), half, REATTN_APPEND_MORE, err);
        if (status == REATTN_OK) ++state->n_done;
      }
      if (status == REATTN_OK && state->n_done == 1) {
        status =
            reattn_session_append_text(s, bytes(kQuestion) + half, kQuestion.size() - half, 0, err);
        if (status == REATTN_OK) ++state->n_done;
      }
      if (status == REATTN_OK) {
        status = reattn_session_append_ids(s, ids.data(), ids.size(), 0, err);
      }
      return status;
    };
    return one_call(act, [state] {
      ask(state->session.get(), 0);
      EXPECT_EQ(tokens(state->session.get()), kExpected);
    });
  });
}

TEST_F(AllocationFailure, ReadAndAnswer) {
  static const std::string kText = document(130);
  static const std::string kStop = "no such text";
  static const Answer kExpected = [] {
    const Session s = session();
    append(s.get(), kText, REATTN_APPEND_LOGPROBS);
    return ask(s.get(), kAnswer);
  }();
  fail_everywhere("read and answer", [] {
    auto s = std::make_shared<Session>(session());
    append(s->get(), kText, REATTN_APPEND_LOGPROBS);
    const auto act = [s](reattn_error** err) {
      reattn_request_options options;
      reattn_request* r = nullptr;
      reattn_request_options_init(&options, sizeof options, nullptr);
      options.max_tokens = kAnswer;
      options.ignore_end = 1;
      reattn_status status = reattn_request_create(s->get(), &options, &r, err);
      if (status == REATTN_OK) {
        status = reattn_request_add_stop(r, bytes(kStop), kStop.size(), err);
      }
      if (status == REATTN_OK) status = read_events(r, err);
      reattn_request_free(r);
      return status;
    };
    return Attempt{act, [s](bool succeeded) {
                     const int64_t n = n_tokens(s->get());
                     if (succeeded) {
                       const std::vector<int32_t> ids = tokens(s->get());
                       ASSERT_GE(ids.size(), kExpected.tokens.size());
                       EXPECT_TRUE(std::equal(kExpected.tokens.rbegin(), kExpected.tokens.rend(),
                                              ids.rbegin()));
                     }
                     static int n_attempts = 0;
                     if (++n_attempts % 4 != 0) return;  // it takes the longest
                     EXPECT_OK(call(reattn_session_truncate, s->get(), int64_t{0}));
                     append(s->get(), kText, REATTN_APPEND_LOGPROBS);
                     EXPECT_EQ(ask(s->get(), kAnswer), kExpected) << "after " << n << " tokens";
                   }};
  });
}

TEST_F(AllocationFailure, AnswerInAQueue) {
  fail_everywhere("answer in a queue", [] {
    auto sessions = std::make_shared<std::array<Session, 2>>();
    for (Session& s : *sessions) {
      s = read_session();
      append(s.get(), kQuestion);
    }
    const auto act = [sessions](reattn_error** err) {
      std::array<reattn_request*, 2> requests{};
      reattn_queue* queue = nullptr;
      reattn_request_options options;
      reattn_request_options_init(&options, sizeof options, nullptr);
      options.max_tokens = kAnswer;
      options.ignore_end = 1;
      reattn_status status = reattn_queue_create(model(), &queue, err);
      for (size_t i = 0; i < 2; ++i) {
        if (status == REATTN_OK) {
          status = reattn_request_create((*sessions)[i].get(), &options, &requests[i], err);
        }
        if (status == REATTN_OK) status = reattn_queue_add(queue, requests[i], i, err);
      }
      while (status == REATTN_OK) {
        auto event = sized<reattn_event>();
        std::array<uint8_t, 256> text;
        uint64_t n = 0, tag = 0;
        status = reattn_queue_next(queue, -1, &tag, &event, text.data(), text.size(), &n, err);
      }
      for (reattn_request* r : requests) reattn_request_free(r);
      reattn_queue_free(queue);
      return status == REATTN_END ? REATTN_OK : status;
    };
    return Attempt{act, [sessions](bool succeeded) {
                     for (const Session& s : *sessions) {
                       if (succeeded) {
                         const std::vector<int32_t> ids = tokens(s.get());
                         ASSERT_GE(ids.size(), expected().tokens.size());
                         EXPECT_TRUE(std::equal(expected().tokens.rbegin(),
                                                expected().tokens.rend(), ids.rbegin()));
                       }
                       EXPECT_OK(call(reattn_session_truncate, s.get(), n_tokens(base())));
                       EXPECT_EQ(answer_of(s.get()), expected());
                     }
                   }};
  });
}

TEST_F(AllocationFailure, AskARequestAndItsSession) {
  const Session s = read_session();
  append(s.get(), kQuestion);
  const Request r = new_request(s.get(), kAnswer);
  drain(r.get());
  fail_everywhere("ask a request", [&] {
    auto room = std::make_shared<Room>();
    const auto act = [room, request = r.get(), asked = s.get()](reattn_error** err) {
      reattn_status status =
          reattn_request_logits(request, room->floats.data(), room->floats.size(), &room->n, err);
      if (status != REATTN_OK) return status;
      status = reattn_request_recalled(request, REATTN_ALL_LAYERS, REATTN_RECALLED_ANSWER,
                                       room->spans.data(), room->spans.size(), &room->n, err);
      if (status != REATTN_OK) return status;
      auto info = sized<reattn_session_info>();
      status = reattn_session_get_info(asked, &info, err);
      if (status != REATTN_OK) return status;
      status = reattn_session_text(asked, 0, info.n_tokens, room->text.data(), room->text.size(),
                                   &room->n, err);
      if (status != REATTN_OK) return status;
      return reattn_session_tokens(asked, 0, info.n_tokens, room->ids.data(), room->ids.size(),
                                   &room->n, err);
    };
    return one_call(act, [room] { EXPECT_GT(room->n, 100u); });
  });
}

TEST_F(AllocationFailure, Fork) {
  fail_everywhere("fork", [] {
    auto made = std::make_shared<Session>();
    return one_call(
        [=](reattn_error** err) {
          reattn_session* s = nullptr;
          const reattn_status status = reattn_session_fork(base(), &s, err);
          made->reset(s);
          return status;
        },
        [made] { EXPECT_EQ(answer_of(made->get()), expected()); });
  });
}

TEST_F(AllocationFailure, SnapshotSaveAndOpen) {
  static const std::string path = directory().file("allocation.reattn");
  fail_everywhere("snapshot, save, open", [] {
    auto made = std::make_shared<Session>();
    const auto act = [made](reattn_error** err) {
      reattn_cache *taken = nullptr, *opened = nullptr;
      reattn_session* s = nullptr;
      reattn_status status = reattn_cache_snapshot(base(), &taken, err);
      if (status == REATTN_OK) status = reattn_cache_save(taken, bytes(path), path.size(), err);
      if (status == REATTN_OK) {
        status = reattn_cache_open(model(), bytes(path), path.size(), &opened, err);
      }
      if (status == REATTN_OK) status = reattn_session_create(model(), opened, nullptr, &s, err);
      made->reset(s);
      reattn_cache_free(taken);
      reattn_cache_free(opened);
      return status;
    };
    return one_call(act, [made] { EXPECT_EQ(answer_of(made->get()), expected()); });
  });
}

TEST_F(AllocationFailure, DevicesAndTheLog) {
  fail_everywhere("devices and the log", [] {
    auto room = std::make_shared<Room>();
    const auto act = [room](reattn_error** err) {
      auto device = sized<reattn_device_info>();
      reattn_status status = reattn_device_get_info(0, &device, err);
      if (status != REATTN_OK) return status;
      status = reattn_backend_diagnose(room->text.data(), room->text.size(), &room->n, err);
      if (status != REATTN_OK) return status;
      auto event = sized<reattn_log_event>();
      while (status == REATTN_OK) {
        status = reattn_log_next(&event, room->text.data() + 4096, 4096, &room->other, err);
      }
      return status == REATTN_END ? REATTN_OK : status;
    };
    return one_call(act, [room] { EXPECT_GT(room->n, 0u); });
  });
}

}  // namespace
}  // namespace reattn::test
