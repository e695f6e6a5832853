package org.reattn.service;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.reattn.ChatMessage;
import org.reattn.Model;

/**
 * Conversations as token ids. What people wrote stays text: only the template's own words are
 * special tokens.
 */
final class Prompt {
  private static final String DOCUMENT = "\uE000document\uE001";
  private static final String QUESTION = "\uE000question\uE001";

  private final Model model;
  private final String beforeDocument;
  private final String afterQuestion;

  /** A document comes first in the user's message, and the question after it. */
  Prompt(Model model) {
    this.model = model;
    if (!model.info().hasChatTemplate()) {
      beforeDocument = "";
      afterQuestion = "\n";
      return;
    }
    String whole = model.renderChat(List.of(ChatMessage.user(DOCUMENT + QUESTION)), true);
    int document = whole.indexOf(DOCUMENT);
    int question = whole.indexOf(QUESTION);
    if (document < 0 || question < 0) {
      throw new IllegalStateException("the model's chat template does not print every message");
    }
    beforeDocument = whole.substring(0, document);
    afterQuestion = whole.substring(question + QUESTION.length());
  }

  int[] beforeDocument() {
    return model.tokenize(beforeDocument, true);
  }

  /** A conversation without a document. */
  int[] conversation(List<ChatMessage> messages) {
    if (model.info().hasChatTemplate()) return model.tokenizeChat(messages, true);
    StringBuilder text = new StringBuilder();
    messages.forEach(message -> text.append(message.content()).append('\n'));
    return model.tokenize(text.toString());
  }

  /** What follows a document: one append, so that all of it votes on what is recalled. */
  int[] question(List<ChatMessage> messages) {
    StringBuilder text = new StringBuilder("\n\n");
    for (int i = 0; i < messages.size(); i++) {
      ChatMessage message = messages.get(i);
      boolean alone = messages.size() == 1 || message.role().equals("system");
      text.append(alone ? "" : message.role() + ": ").append(message.content());
      if (i + 1 < messages.size()) text.append('\n');
    }
    List<int[]> parts = new ArrayList<>();
    parts.add(model.tokenize(text.toString()));
    parts.add(model.tokenize(afterQuestion, true));
    return parts.stream().flatMapToInt(IntStream::of).toArray();
  }
}
