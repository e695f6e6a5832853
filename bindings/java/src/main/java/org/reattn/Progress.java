package org.reattn;

/**
 * More of the input was read.
 *
 * @param nDone tokens of this generation's input that are read
 * @param nTotal tokens of this generation's input
 */
public record Progress(long nDone, long nTotal) implements GenerationEvent {}
