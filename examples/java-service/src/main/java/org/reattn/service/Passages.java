package org.reattn.service;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.reattn.Session;
import org.reattn.Span;

/** Where in a document's text the recalled passages lie. */
final class Passages {
  /**
   * A passage of the document.
   *
   * @param begin index of its first character in the document, in UTF-16 as JavaScript counts
   * @param end index after its last
   * @param beginToken position of its first token
   * @param endToken position after its last token
   * @param votes how much it was recalled
   * @param text what stands there
   */
  record Passage(int begin, int end, @JsonProperty("begin_token") long beginToken,
      @JsonProperty("end_token") long endToken, long votes, String text) {}

  private Passages() {}

  /** Those of {@code spans} that lie in the document, most voted first, {@code most} at most. */
  static List<Passage> of(
      Session session, Documents.Document document, String text, List<Span> spans, int most) {
    List<Span> inside = new ArrayList<>();
    for (Span span : spans) {
      long begin = Math.max(span.begin(), document.beginToken());
      long end = Math.min(span.end(), document.endToken());
      if (begin < end && inside.size() < most) inside.add(new Span(begin, end, span.votes()));
    }
    inside.sort(Comparator.comparingLong(Span::begin));
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    List<Passage> passages = new ArrayList<>();
    long token = document.beginToken();
    int exact = 0; // the byte that token begins at
    int at = 0; // the byte up to which characters are counted
    int index = 0;
    for (Span span : inside) {
      int begin = exact + session.bytes(token, span.begin()).length;
      exact = begin + session.bytes(span.begin(), span.end()).length;
      token = span.end();
      // A token may begin or end inside a character: take in whole ones.
      int end = exact;
      while (begin > at && begin < utf8.length && (utf8[begin] & 0xC0) == 0x80) begin--;
      while (end < utf8.length && (utf8[end] & 0xC0) == 0x80) end++;
      begin = Math.max(begin, at);
      index += new String(utf8, at, begin - at, StandardCharsets.UTF_8).length();
      String passage = new String(utf8, begin, end - begin, StandardCharsets.UTF_8);
      passages.add(new Passage(index, index + passage.length(), span.begin(), span.end(),
          span.votes(), passage));
      index += passage.length();
      at = end;
    }
    passages.sort(Comparator.comparingLong(Passage::votes).reversed()
        .thenComparing(Passage::begin));
    return passages;
  }
}
