package org.reattn;

/**
 * The last event of a generation.
 *
 * @param reason why it ended
 * @param text text that was held back until now, often none
 * @param nDone tokens of this generation's input that were read
 * @param nTotal tokens of this generation's input
 */
public record Done(DoneReason reason, String text, long nDone, long nTotal)
    implements GenerationEvent {}
