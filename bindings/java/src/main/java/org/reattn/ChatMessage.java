package org.reattn;

import java.util.List;
import java.util.Objects;

/**
 * One message of a conversation.
 *
 * @param role such as "system", "user" or "assistant"
 * @param content its text, which cannot forge the template's special tokens
 */
public record ChatMessage(String role, String content) {
  /** A message; neither part may be null. */
  public ChatMessage {
    Objects.requireNonNull(role, "role");
    Objects.requireNonNull(content, "content");
  }

  /** What the model is told beforehand. */
  public static ChatMessage system(String content) {
    return new ChatMessage("system", content);
  }

  /** What the user says. */
  public static ChatMessage user(String content) {
    return new ChatMessage("user", content);
  }

  /** What the model answered. */
  public static ChatMessage assistant(String content) {
    return new ChatMessage("assistant", content);
  }

  /** The JSON array that the C API takes. */
  static String json(List<ChatMessage> messages) {
    StringBuilder out = new StringBuilder("[");
    for (ChatMessage message : messages) {
      if (out.length() > 1) out.append(',');
      quote(out.append("{\"role\":"), message.role);
      quote(out.append(",\"content\":"), message.content);
      out.append('}');
    }
    return out.append(']').toString();
  }

  private static void quote(StringBuilder out, String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < ' ') {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }
}
