// The chat of reattn run: a turn for each line of standard input.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "examples/cli/commands.hpp"
#include "examples/cli/interrupt.hpp"
#include "examples/cli/lines.hpp"
#include "examples/cli/passages.hpp"
#include "examples/cli/requests.hpp"

namespace reattn::cli {
namespace {

constexpr size_t kPassagesAsked = 5;  // of /recalled

constexpr const char* kHelp =
    "/recalled   the passages that the last question recalled\n"
    "/reset      forget everything after the document\n"
    "/info       how many tokens were read, and the memory they take\n"
    "/quit       end (so does Ctrl-D); Ctrl-C stops an answer\n"
    "/help       this list\n";

class Chat {
 public:
  Chat(const reattn_model* model, reattn_session* session, const PromptFormat& format,
       const ChatSettings& settings)
      : model_(model),
        session_(session),
        format_(format),
        settings_(settings),
        n_document_(session_info(session).n_tokens),
        first_place_(format.place_of(session)),
        place_(first_place_) {}

  // False: the chat is over.
  bool command(const std::string& line) {
    if (line == "/quit") return false;
    if (line == "/recalled") {
      show_passages(std::max(kPassagesAsked, settings_.n_passages));
    } else if (line == "/reset") {
      request_.reset();
      truncate(session_, n_document_);
      place_ = first_place_;
    } else if (line == "/info") {
      const reattn_session_info info = session_info(session_);
      write_out(grouped(info.n_tokens) + " tokens, " +
                grouped(static_cast<int64_t>(info.kv_bytes >> 20)) + " MiB of cache\n");
    } else {
      write_out(kHelp);
    }
    return true;
  }

  void turn(const std::string& question) {
    request_.reset();
    const int64_t n_before = session_info(session_).n_tokens;
    int32_t reason = 0;
    try {
      append(session_, format_.question(session_, place_, question, settings_.answer_prefix));
      Answer answer = write_answer(session_, settings_.sampling, settings_.answer_prefix);
      request_ = std::move(answer.request);
      reason = answer.reason;
    } catch (const ApiError&) {
      truncate(session_, n_before);
      throw;
    }
    if (reason == REATTN_DONE_CANCELLED) {
      clear_interrupt();
      // A question that was not read to its end is forgotten; a begun answer is kept.
      if (stats(request_.get()).n_decode_tokens == 0) {
        request_.reset();
        truncate(session_, n_before);
        return;
      }
    }
    if (reason == REATTN_DONE_FULL) {
      std::fputs("the session is full: /reset forgets everything after the document\n", stderr);
    }
    place_ = Place::kAfterAnswer;
    if (settings_.n_passages > 0) show_passages(settings_.n_passages);
  }

 private:
  void show_passages(size_t n) const {
    if (!request_) {
      write_out("nothing was asked yet\n");
      return;
    }
    write_passages(request_.get(), session_, model_info(model_).n_layers, n);
  }

  const reattn_model* model_;
  reattn_session* session_;
  const PromptFormat& format_;
  const ChatSettings& settings_;
  const int64_t n_document_;
  const Place first_place_;
  Place place_;
  Request request_;  // of the last turn
};

}  // namespace

void chat(const reattn_model* model, reattn_session* session, const PromptFormat& format,
          const ChatSettings& settings) {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal) write_out("Ask away; /help lists the commands.\n");
  Chat chat(model, session, format, settings);
  LineReader lines;
  for (std::string line;;) {
    if (terminal) write_out("> ");
    if (!lines.next(line)) break;
    if (line.empty()) continue;
    if (line.front() == '/') {
      if (!chat.command(line)) return;
      continue;
    }
    try {
      chat.turn(line);
    } catch (const ApiError& e) {
      if (!terminal) throw;
      std::fprintf(stderr, "reattn: %s\n", e.what());
    }
  }
  if (terminal) write_out("\n");
}

}  // namespace reattn::cli
