package org.reattn.service;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.reattn.ChatMessage;
import org.reattn.Model;
import org.reattn.ModelInfo;

/**
 * Conversations as token ids. What people wrote stays text: only the template's own words are
 * special tokens.
 */
final class Prompt {
  private static final String DOCUMENT = "\uE000document\uE001";
  private static final String QUESTION = "\uE000question\uE001";

  private final Model model;
  private final boolean template;
  private final int[] beforeDocument;
  private final String afterQuestion;

  /** A document comes first in the user's message, and the question after it. */
  Prompt(Model model, boolean template) {
    this.model = model;
    this.template = template && model.info().hasChatTemplate();
    if (!this.template) {
      ModelInfo info = model.info();
      beforeDocument = info.addBos() && info.bosToken() >= 0
          ? new int[] {info.bosToken()} : new int[0];
      afterQuestion = "";
      return;
    }
    String whole = model.renderChat(List.of(ChatMessage.user(DOCUMENT + QUESTION)), true);
    int document = whole.indexOf(DOCUMENT);
    int question = whole.indexOf(QUESTION);
    if (document < 0 || question < 0) {
      throw new IllegalStateException("the model's chat template does not print every message");
    }
    beforeDocument = model.tokenize(whole.substring(0, document), true);
    afterQuestion = whole.substring(question + QUESTION.length());
  }

  int[] beforeDocument() {
    return beforeDocument.clone();
  }

  /** A conversation without a document. */
  int[] conversation(List<ChatMessage> messages) {
    return template ? model.tokenizeChat(messages, true)
        : joined(beforeDocument, model.tokenize(plain(messages)));
  }

  /** What follows a document: one append, so that all of it votes on what is recalled. */
  int[] question(List<ChatMessage> messages) {
    return joined(model.tokenize("\n\n" + plain(messages)), model.tokenize(afterQuestion, true));
  }

  private static int[] joined(int[] first, int[] second) {
    return IntStream.concat(IntStream.of(first), IntStream.of(second)).toArray();
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
