package org.reattn;

/** What comes out of a generation: how far it has read, its tokens, and its end. */
public sealed interface GenerationEvent permits Progress, Token, Done {}
