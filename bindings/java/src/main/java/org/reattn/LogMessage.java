package org.reattn;

/**
 * A message about what the library decided on its own.
 *
 * @param sequence 1, 2, 3 and so on in this process; a gap: that many were overwritten unread
 * @param text one line
 */
public record LogMessage(long sequence, String text) {}
