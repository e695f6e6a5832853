package org.reattn;

import java.nio.file.Path;
import java.nio.file.Paths;

/** The tiny model of the tests, and settings under which it recalls after a few hundred tokens. */
final class Tiny {
  static final String DOCUMENT =
      "The harbour master kept a ledger of every ship, and of the door that opens with 4711. "
          .repeat(12);

  private Tiny() {}

  /** Written by reattn_write_model. */
  static Path path() {
    String path = System.getenv("REATTN_TINY_MODEL");
    if (path == null) {
      throw new IllegalStateException(
          "the environment variable REATTN_TINY_MODEL names no model: reattn_write_model makes it");
    }
    return Paths.get(path);
  }

  static ModelOptions options() {
    return ModelOptions.builder().device(Device.CPU).nThreads(1).build();
  }

  static Model open() {
    return Model.open(path(), options());
  }

  static SessionOptions settings(Model model) {
    return SessionOptions.builder(model).nGlobal(8).nLocal(64).topK(2).span(4).nAnchors(8).chunk(32)
        .kvDtype(KvDtype.F32).build();
  }

  static Session session(Model model) {
    return model.newSession(settings(model));
  }

  static GenerationOptions tokens(long n) {
    return GenerationOptions.builder().ignoreEnd(true).maxTokens(n).build();
  }
}
