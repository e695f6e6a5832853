package org.reattn;

/**
 * An event of a generation in a queue, or its failure.
 *
 * @param generation whose it is
 * @param event what came; null when the generation failed
 * @param failure why the generation ended; null when it did not fail
 */
public record QueueEvent(Generation generation, GenerationEvent event, ReattnException failure) {}
