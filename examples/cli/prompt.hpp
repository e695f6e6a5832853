// How documents, questions and answers become one conversation, cut where appends are cut.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "examples/cli/api.hpp"

namespace reattn::cli {

// What a session holds when a question is put to it.
enum class Place {
  kStart,          // nothing
  kAfterDocument,  // a user message that begins with a document and has not ended
  kAfterAnswer,    // an answer, ended or not
};

// The document begins a user message, the question ends it; both are appends of their own, so that
// only the question's tokens vote on what is recalled for it. Special tokens are parsed in the chat
// template's own words alone: in documents, questions and system messages they stay text.
class PromptFormat {
 public:
  // raw, or a model without a chat template: texts as they are, after the model's first token where
  // it expects one. system: the system message, if the template's own is not wanted.
  PromptFormat(const reattn_model* model, bool raw, const std::optional<std::string>& system);

  Ids document(std::string_view text) const;
  // What to append to the session. answer_prefix: how the answer begins; what is generated goes on
  // from there.
  Ids question(const reattn_session* session, Place place, std::string_view text,
               std::string_view answer_prefix) const;
  // Where a session stands that only documents were read into, or that a snapshot was made of.
  Place place_of(const reattn_session* session) const;

 private:
  const reattn_model* model_;
  bool raw_;
  Ids opening_;       // up to the user's first words
  Ids closing_;       // from the user's last words to the answer
  Ids after_answer_;  // from an answer to the user's next words; first the token that ends answers
};

}  // namespace reattn::cli
