package org.example;

import java.nio.file.Path;
import org.reattn.Device;
import org.reattn.Generation;
import org.reattn.GenerationOptions;
import org.reattn.Model;
import org.reattn.ModelOptions;
import org.reattn.Session;

/** Generates a few tokens. */
public final class Outside {
  private Outside() {}

  /** Takes the path of a model. */
  public static void main(String[] args) {
    ModelOptions cpu = ModelOptions.builder().device(Device.CPU).build();
    try (Model model = Model.open(Path.of(args[0]), cpu); Session session = model.newSession()) {
      session.append("A letter 📖 from the harbour");
      GenerationOptions options =
          GenerationOptions.builder().ignoreEnd(true).maxTokens(8).build();
      try (Generation generation = session.generate(options)) {
        long n = generation.tokens().filter(token -> token.id() >= 0).count();
        System.out.println(n + " tokens on Java " + Runtime.version().feature() + " as "
            + (Outside.class.getModule().isNamed() ? "a module" : "classes"));
      }
    }
  }
}
