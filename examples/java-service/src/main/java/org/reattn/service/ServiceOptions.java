package org.reattn.service;

import java.nio.file.Path;
import org.reattn.Device;

/** What the service is started with; the limits hold for every request. */
public final class ServiceOptions {
  /** The GGUF file. */
  public Path model;
  /** Where documents and their snapshots are kept. */
  public Path data;
  /** The address to listen on; any but the loopback's needs a key. */
  public String host = "127.0.0.1";
  /** The port; 0: any free one. */
  public int port = 8080;
  /** What clients must show; null: nothing. */
  public String key;
  /** Where the model runs. */
  public Device device = Device.AUTO;
  /** Threads of the model; 0: as many as the process may use. */
  public int threads;
  /** False: texts as they are, and the model goes on with the question. */
  public boolean template = true;
  /** Bytes of a document at most. */
  public long maxDocumentBytes = 64L << 20;
  /** Bytes of any other request's body at most. */
  public long maxBodyBytes = 1 << 20;
  /** Tokens of an answer at most, whatever is asked for. */
  public int maxTokens = 1024;
  /** Tokens of an answer when nothing is asked for. */
  public int defaultTokens = 256;
  /** Answers and documents that are worked on at once. */
  public int maxRunning = 12;
  /** Those that wait for their turn; beyond it is 429. */
  public int maxWaiting = 32;
  /** Snapshots held in memory; the others are read from the disk when asked. */
  public int maxOpenSnapshots = 4;
  /** Method settings over the model's published ones; null: those. */
  public Long nLocal;
  /** Positions recalled. */
  public Integer nAnchors;
  /** Tokens recalled around each. */
  public Integer span;
  /** Tokens read in one step. */
  public Integer chunk;
  /** Every so manyth token votes. */
  public Integer voteStride;

  /** The host as it stands in an address of the web. */
  String hostName() {
    return host.contains(":") && !host.startsWith("[") ? "[" + host + "]" : host;
  }

  static final String USAGE = """
      java -jar reattn-service.jar --model FILE --data FOLDER [options]
        --host ADDRESS        listen there (127.0.0.1); any but the loopback's needs a key
        --port N              (8080)
        --device auto|cpu|cuda
        --threads N           of the CPU
        --template on|off     off: texts as they are, which the model goes on with; small models
                              continue a sentence better than they answer a question
        --max-document-bytes N, --max-body-bytes N, --max-tokens N, --max-running N, --max-waiting N,
        --max-open-snapshots N
        --n-local N, --n-anchors N, --span N, --chunk N, --vote-stride N   settings of the method
      The environment variable REATTN_SERVICE_KEY is the key that clients must show.
      """;

  /** Reads a command line; an IllegalArgumentException says what is wrong with it. */
  static ServiceOptions parse(String[] args, String key) {
    ServiceOptions options = new ServiceOptions();
    options.key = key == null || key.isEmpty() ? null : key;
    for (int i = 0; i < args.length; i += 2) {
      if (i + 1 == args.length) throw new IllegalArgumentException(args[i] + " needs a value");
      options.set(args[i], args[i + 1]);
    }
    if (options.model == null || options.data == null) {
      throw new IllegalArgumentException("--model and --data are needed");
    }
    return options;
  }

  private void set(String name, String value) {
    switch (name) {
      case "--model" -> model = Path.of(value);
      case "--data" -> data = Path.of(value);
      case "--host" -> host = value;
      case "--port" -> port = (int) number(name, value, 0, 65535);
      case "--device" -> device = Device.valueOf(value.toUpperCase(java.util.Locale.ROOT));
      case "--threads" -> threads = (int) number(name, value, 0, 4096);
      case "--template" -> {
        if (!value.equals("on") && !value.equals("off")) {
          throw new IllegalArgumentException("--template is " + value + ", neither on nor off");
        }
        template = value.equals("on");
      }
      case "--max-document-bytes" -> maxDocumentBytes = number(name, value, 1, Integer.MAX_VALUE);
      case "--max-body-bytes" -> maxBodyBytes = number(name, value, 1, Integer.MAX_VALUE);
      case "--max-tokens" -> {
        maxTokens = (int) number(name, value, 1, Integer.MAX_VALUE);
        defaultTokens = Math.min(defaultTokens, maxTokens);
      }
      case "--max-running" -> maxRunning = (int) number(name, value, 1, 1024);
      case "--max-waiting" -> maxWaiting = (int) number(name, value, 0, 1 << 16);
      case "--max-open-snapshots" -> maxOpenSnapshots = (int) number(name, value, 1, 1 << 16);
      case "--n-local" -> nLocal = number(name, value, 1, Long.MAX_VALUE);
      case "--n-anchors" -> nAnchors = (int) number(name, value, 0, Integer.MAX_VALUE);
      case "--span" -> span = (int) number(name, value, 1, Integer.MAX_VALUE);
      case "--chunk" -> chunk = (int) number(name, value, 1, Integer.MAX_VALUE);
      case "--vote-stride" -> voteStride = (int) number(name, value, 1, Integer.MAX_VALUE);
      default -> throw new IllegalArgumentException("unknown option " + name);
    }
  }

  private static long number(String name, String value, long least, long most) {
    try {
      long number = Long.parseLong(value);
      if (number >= least && number <= most) return number;
    } catch (NumberFormatException none) {
      // Said below.
    }
    throw new IllegalArgumentException(
        name + " is " + value + ", not a number from " + least + " to " + most);
  }
}
