#include "examples/cli/prompt.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "examples/cli/options.hpp"

namespace reattn::cli {
namespace {

// Stand for the contents of messages while the template is taken apart.
constexpr std::array<const char*, 4> kMarks = {"MARK0SYSTEM", "MARK1USER", "MARK2ANSWER",
                                               "MARK3USER"};

void extend(Ids& ids, const Ids& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

// -1: there is none.
int32_t last_token(const reattn_session* session) {
  const int64_t n = session_info(session).n_tokens;
  return n == 0 ? -1 : session_tokens(session, n - 1, n).front();
}

// Cuts off what comes before the mark, and the mark.
std::string take_until(std::string& text, std::string_view mark) {
  const size_t at = text.find(mark);
  if (at == std::string::npos) {
    throw std::runtime_error("the model's chat template does not print every message: use --raw");
  }
  std::string before = text.substr(0, at);
  text.erase(0, at + mark.size());
  return before;
}

}  // namespace

PromptFormat::PromptFormat(const reattn_model* model, bool raw,
                           const std::optional<std::string>& system)
    : model_(model), raw_(raw) {
  const reattn_model_info info = model_info(model);
  if (info.has_chat_template == 0) raw_ = true;
  if (raw_) {
    if (system) {
      throw UsageError(raw ? "--system needs the chat template that --raw turns off"
                           : "--system: the model has no chat template");
    }
    if (info.add_bos != 0 && info.bos_token >= 0) opening_.push_back(info.bos_token);
    return;
  }
  Json messages = Json::array();
  if (system) messages.push_back({{"role", "system"}, {"content", kMarks[0]}});
  messages.push_back({{"role", "user"}, {"content", kMarks[1]}});
  messages.push_back({{"role", "assistant"}, {"content", kMarks[2]}});
  messages.push_back({{"role", "user"}, {"content", kMarks[3]}});
  std::string rest = render_chat(model, messages.dump());
  if (system) {
    opening_ = tokenize(model, take_until(rest, kMarks[0]), true);
    extend(opening_, tokenize(model, *system, false));
  }
  extend(opening_, tokenize(model, take_until(rest, kMarks[1]), true));
  take_until(rest, kMarks[2]);
  after_answer_ = tokenize(model, take_until(rest, kMarks[3]), true);
  closing_ = tokenize(model, rest, true);
}

Ids PromptFormat::document(std::string_view text) const {
  Ids ids = opening_;
  extend(ids, tokenize(model_, text, false));
  return ids;
}

Ids PromptFormat::question(const reattn_session* session, Place place, std::string_view text,
                           std::string_view answer_prefix) const {
  const std::string answer(answer_prefix);
  Ids ids;
  if (place == Place::kStart) ids = opening_;
  if (place == Place::kAfterAnswer) {
    ids = after_answer_;
    // The model may have ended its answer itself, or it was cut short.
    if (!ids.empty() && last_token(session) == ids.front()) ids.erase(ids.begin());
  }
  if (raw_) {
    extend(ids, tokenize(model_, std::string(text) + answer, false));
    return ids;
  }
  const std::string gap = place == Place::kAfterDocument ? "\n\n" : "";
  extend(ids, tokenize(model_, gap + std::string(text), false));
  extend(ids, closing_);
  extend(ids, tokenize(model_, answer, false));
  return ids;
}

Place PromptFormat::place_of(const reattn_session* session) const {
  const int32_t last = last_token(session);
  if (last < 0) return Place::kStart;
  const bool ended = !after_answer_.empty() && last == after_answer_.front();
  return ended ? Place::kAfterAnswer : Place::kAfterDocument;
}

}  // namespace reattn::cli
