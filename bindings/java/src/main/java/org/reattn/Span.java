package org.reattn;

/**
 * A recalled passage: the tokens [begin, end).
 *
 * @param begin position of its first token
 * @param end position after its last token
 * @param votes that its anchors got
 */
public record Span(long begin, long end, long votes) {}
