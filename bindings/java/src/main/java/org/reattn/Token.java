package org.reattn;

/**
 * A generated token.
 *
 * @param id its id; {@link #NO_ID} where {@link Generation#iterator} ends with text that was held
 *     back because it could have become a stop text or another character
 * @param logprob its log-probability at temperature 1
 * @param text whole characters, which may be none, since one character can take several tokens
 */
public record Token(int id, float logprob, String text) implements GenerationEvent {
  /** The id of text without a token. */
  public static final int NO_ID = -1;
}
