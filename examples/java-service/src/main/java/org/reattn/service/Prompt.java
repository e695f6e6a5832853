package org.reattn.service;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
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
  private final boolean template;
  private final String beforeDocument;
  private final String afterQuestion;

  /** A document comes first in the user's message, and the question after it. */
  Prompt(Model model, boolean template) {
    this.model = model;
    this.template = template && model.info().hasChatTemplate();
    if (!this.template) {
      beforeDocument = "";
      afterQuestion = "";
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
    return template ? model.tokenizeChat(messages, true) : model.tokenize(plain(messages));
  }

  /** What follows a document: one append, so that all of it votes on what is recalled. */
  int[] question(List<ChatMessage> messages) {
    List<int[]> parts = new ArrayList<>();
    parts.add(model.tokenize("\n\n" + plain(messages)));
    parts.add(model.tokenize(afterQuestion, true));
    return parts.stream().flatMapToInt(IntStream::of).toArray();
  }

  /** The first user's message has begun with the document: what else was said is text in it. */
  private String plain(List<ChatMessage> messages) {
    boolean names = template && messages.stream()
        .filter(message -> !message.role().equals("system")).count() > 1;
    return messages.stream()
        .map(message -> (names ? message.role() + ": " : "") + message.content())
        .collect(Collectors.joining("\n"));
  }
}
