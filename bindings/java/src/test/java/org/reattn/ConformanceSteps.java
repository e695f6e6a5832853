package org.reattn;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.reflect.Method;
import java.lang.reflect.RecordComponent;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** The operations of the shared cases, done by the binding as its users would. */
final class ConformanceSteps implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path folder;
  private final Map<String, AutoCloseable> objects = new LinkedHashMap<>();
  private final Map<Generation, String> tags = new LinkedHashMap<>();

  ConformanceSteps(Path folder) {
    this.folder = folder;
    objects.put("tiny", Model.open(Tiny.path(), ModelOptions.builder().device(Device.CPU).build()));
  }

  @Override
  public void close() throws Exception {
    for (AutoCloseable object : objects.values()) object.close();
  }

  /** The result of a step: something that becomes JSON. */
  Object run(JsonNode step) throws Exception {
    switch (step.get("do").asText()) {
      case "write_file":
        return Files.write(path(step), content(step)).toString();
      case "flip_byte":
        return flipByte(path(step), step.get("at").asInt());
      case "open_model":
        return openModel(step);
      case "synthesize":
        Geometry.Builder geometry = Geometry.builder();
        fill(geometry, step.get("geometry"));
        return keep(step, Model.synthesize(geometry.build(), modelOptions(step)));
      case "model_info":
        return members(model(step).info());
      case "metadata":
        return one("value", model(step).metadata().get(step.get("key").asText()));
      case "estimate":
        return members(
            model(step).estimate(sessionOptions(step), step.get("n_tokens").asLong()));
      case "default_options":
        return getters(sessionBuilder(step).build());
      case "tokenize":
        boolean special = step.path("special").asBoolean();
        return one("ids", step.has("text") && !step.has("times")
            ? model(step).tokenize(step.get("text").asText(), special)
            : model(step).tokenize(content(step), special));
      case "detokenize":
        return text(model(step).detokenizeBytes(ids(step)));
      case "render_chat":
        boolean prompt = step.get("add_generation_prompt").asBoolean();
        return one("text", step.has("json")
            ? model(step).renderChat(step.get("json").asText(), prompt)
            : model(step).renderChat(messages(step), prompt));
      case "tokenize_chat":
        boolean ending = step.get("add_generation_prompt").asBoolean();
        return one("ids", step.has("json")
            ? model(step).tokenizeChat(step.get("json").asText(), ending)
            : model(step).tokenizeChat(messages(step), ending));
      case "new_session":
        return keep(step, model(step).newSession(from(step), sessionOptions(step)));
      case "append":
        return append(step);
      case "session_info":
        return members(session(step).info());
      case "tokens":
        return one("ids", session(step).tokens(begin(step), end(step)));
      case "text":
        return text(session(step).bytes(begin(step), end(step)));
      case "logprobs":
        List<Float> logprobs = new ArrayList<>();
        for (float value : session(step).logprobs(begin(step), end(step))) {
          logprobs.add(Float.isNaN(value) ? null : (Float) value);
        }
        return one("logprobs", logprobs);
      case "truncate":
        session(step).truncate(step.get("n_tokens").asLong());
        return null;
      case "fork":
        return keep(step, session(step).fork());
      case "snapshot":
        return keep(step, session(step).snapshot());
      case "save":
        ((Snapshot) on(step)).save(path(step));
        return null;
      case "open_snapshot":
        return keep(step, model(step).openSnapshot(path(step)));
      case "snapshot_info":
        return members(((Snapshot) on(step)).info());
      case "request":
        return keep(step, session(step).generate(generationOptions(step)));
      case "add_stop":
        generation(step).addStop(new String(content(step), StandardCharsets.UTF_8));
        return null;
      case "set_json_schema":
        generation(step).setJsonSchema(new String(content(step), StandardCharsets.UTF_8));
        return null;
      case "next":
        return event(generation(step).nextEvent().orElse(null));
      case "drain":
        return drain(generation(step));
      case "cancel":
        generation(step).cancel();
        return null;
      case "recalled":
        return recalled(step);
      case "logits":
        float[] logits = generation(step).logits();
        int best = 0;
        for (int i = 1; i < logits.length; i++) best = logits[i] > logits[best] ? i : best;
        return Map.of("n", logits.length, "best", best);
      case "stats":
        return members(generation(step).stats());
      case "new_queue":
        return keep(step, model(step).newQueue());
      case "queue_add":
        Generation added = (Generation) objects.get(step.get("request").asText());
        queue(step).add(added);
        tags.put(added, step.get("tag").asText());
        return null;
      case "queue_drain":
        return queueDrain(queue(step));
      case "close":
        on(step).close();
        return null;
      default:
        throw new AssertionError("no operation " + step);
    }
  }

  // ---- Objects ------------------------------------------------------------------------------

  private AutoCloseable on(JsonNode step) {
    return objects.get(step.path("on").asText("tiny"));
  }

  private Model model(JsonNode step) {
    return (Model) on(step);
  }

  private Session session(JsonNode step) {
    return (Session) on(step);
  }

  private Generation generation(JsonNode step) {
    return (Generation) on(step);
  }

  private GenerationQueue queue(JsonNode step) {
    return (GenerationQueue) on(step);
  }

  private Snapshot from(JsonNode step) {
    return step.has("from") ? (Snapshot) objects.get(step.get("from").asText()) : null;
  }

  private Object keep(JsonNode step, AutoCloseable object) {
    objects.put(step.get("as").asText(), object);
    return null;
  }

  // ---- Operations of more than a call -------------------------------------------------------

  private static Object flipByte(Path path, int at) throws Exception {
    byte[] bytes = Files.readAllBytes(path);
    bytes[at] ^= (byte) 0xFF;
    Files.write(path, bytes);
    return null;
  }

  private Object openModel(JsonNode step) {
    LoadProgress[] last = new LoadProgress[1];
    keep(step, Model.open(path(step), modelOptions(step), progress -> last[0] = progress));
    if (!last[0].finished()) throw new AssertionError("not told that loading has ended");
    return members(last[0]);
  }

  private Object append(JsonNode step) {
    AppendFlag[] flags = new AppendFlag[step.path("flags").size()];
    for (int i = 0; i < flags.length; i++) {
      flags[i] = AppendFlag.valueOf(step.get("flags").get(i).asText().toUpperCase(Locale.ROOT));
    }
    if (step.has("ids")) {
      session(step).append(ids(step), flags);
    } else if (step.has("text") && !step.has("times")) {
      session(step).append(step.get("text").asText(), flags);
    } else {
      session(step).append(content(step), flags);
    }
    return null;
  }

  private Object recalled(JsonNode step) {
    JsonNode layer = step.get("layer");
    List<Span> spans = generation(step).recalled(
        layer.isNumber() ? layer.asInt() : Generation.ALL_LAYERS,
        RecallScope.valueOf(step.get("scope").asText().toUpperCase(Locale.ROOT)));
    return one("spans", spans.stream()
        .map(span -> new long[] {span.begin(), span.end(), span.votes()}).toList());
  }

  private static final class Answer {
    public final List<Integer> tokens = new ArrayList<>();
    public final List<String> pieces = new ArrayList<>();
    public String text = "";
    public String reason;
    public long n_read;

    void add(GenerationEvent event) {
      if (event instanceof Token token) {
        tokens.add(token.id());
        pieces.add(token.text());
        text += token.text();
      } else if (event instanceof Done done) {
        pieces.add(done.text());
        text += done.text();
        reason = done.reason().name();
        n_read = done.nDone();
      }
    }
  }

  private static Answer drain(Generation generation) {
    Answer answer = new Answer();
    Optional<GenerationEvent> event;
    while ((event = generation.nextEvent()).isPresent()) answer.add(event.get());
    return answer;
  }

  private Object queueDrain(GenerationQueue queue) throws InterruptedException {
    Map<String, Answer> answers = new TreeMap<>();
    Optional<QueueEvent> next;
    while ((next = queue.next()).isPresent()) {
      if (next.get().failure() != null) throw next.get().failure();
      answers.computeIfAbsent(tags.get(next.get().generation()), tag -> new Answer())
          .add(next.get().event());
    }
    return one("answers", answers);
  }

  private static Object event(GenerationEvent event) {
    Map<String, Object> members = new LinkedHashMap<>();
    if (event instanceof Progress progress) {
      members.put("kind", "PREFILL");
      members.put("n_done", progress.nDone());
      members.put("n_total", progress.nTotal());
    } else if (event instanceof Token token) {
      members.put("kind", "TEXT");
      members.put("token", token.id());
      members.put("text", token.text());
    } else if (event instanceof Done done) {
      members.put("kind", "DONE");
      members.put("n_done", done.nDone());
      members.put("n_total", done.nTotal());
      members.put("text", done.text());
      members.put("reason", done.reason().name());
    } else {
      members.put("kind", "END");
    }
    members.putIfAbsent("n_done", 0);
    members.putIfAbsent("n_total", 0);
    members.putIfAbsent("token", -1);
    members.putIfAbsent("text", "");
    members.putIfAbsent("reason", null);
    return members;
  }

  // ---- Options ------------------------------------------------------------------------------

  private ModelOptions modelOptions(JsonNode step) {
    ModelOptions.Builder options = ModelOptions.builder().device(Device.CPU);
    fill(options, step.path("options"));
    return options.build();
  }

  private SessionOptions.Builder sessionBuilder(JsonNode step) {
    return from(step) == null ? SessionOptions.builder(model(step))
        : SessionOptions.builder(model(step), from(step));
  }

  private SessionOptions sessionOptions(JsonNode step) throws Exception {
    SessionOptions.Builder options = sessionBuilder(step);
    if (from(step) == null && !step.path("defaults").asBoolean()) {
      fill(options, JSON.readTree(ConformanceTest.folder().resolve("settings.json").toFile()));
    }
    fill(options, step.path("options"));
    return options.build();
  }

  private static GenerationOptions generationOptions(JsonNode step) {
    GenerationOptions.Builder options = GenerationOptions.builder().ignoreEnd(true);
    fill(options, step.path("options"));
    for (JsonNode stop : step.path("stops")) options.stop(stop.asText());
    if (step.has("json_schema")) options.jsonSchema(step.get("json_schema").toString());
    return options.build();
  }

  /** Calls the builder's method of each option's name. */
  private static void fill(Object builder, JsonNode options) {
    options.fields().forEachRemaining(option -> {
      String name = camel(option.getKey());
      Method setter = Arrays.stream(builder.getClass().getMethods())
          .filter(method -> method.getName().equals(name) && method.getParameterCount() == 1)
          .findAny().orElseThrow(() -> new AssertionError("no option " + name));
      try {
        setter.invoke(builder, value(option.getValue(), setter.getParameterTypes()[0]));
      } catch (ReflectiveOperationException failure) {
        throw new AssertionError(name, failure);
      }
    });
  }

  private static Object value(JsonNode value, Class<?> type) {
    if (type.isEnum()) {
      for (Object constant : type.getEnumConstants()) {
        if (constant.toString().equalsIgnoreCase(value.asText())) return constant;
      }
      throw new AssertionError(type + " has no " + value);
    }
    if (type == boolean.class) return value.asBoolean();
    if (type == int.class) return value.asInt();
    if (type == long.class) return value.asLong();
    if (type == float.class) return (float) value.asDouble();
    return value.asDouble();
  }

  // ---- Values -------------------------------------------------------------------------------

  private Path path(JsonNode step) {
    return Path.of(step.get("path").asText()
        .replace("$tiny", Tiny.path().toString()).replace("$dir", folder.toString()));
  }

  private static byte[] content(JsonNode step) {
    if (step.has("hex")) return HexFormat.of().parseHex(step.get("hex").asText());
    if (step.has("file")) {
      try {
        return Files.readAllBytes(ConformanceTest.folder().resolve(step.get("file").asText()));
      } catch (java.io.IOException failure) {
        throw new AssertionError(failure);
      }
    }
    return step.get("text").asText().repeat(step.path("times").asInt(1))
        .getBytes(StandardCharsets.UTF_8);
  }

  private static int[] ids(JsonNode step) {
    int[] ids = new int[step.get("ids").size()];
    for (int i = 0; i < ids.length; i++) ids[i] = step.get("ids").get(i).asInt();
    return ids;
  }

  private static List<ChatMessage> messages(JsonNode step) {
    List<ChatMessage> messages = new ArrayList<>();
    for (JsonNode message : step.get("messages")) {
      messages.add(new ChatMessage(message.get("role").asText(), message.get("content").asText()));
    }
    return messages;
  }

  private static long begin(JsonNode step) {
    return step.get("begin").asLong();
  }

  private static long end(JsonNode step) {
    return step.get("end").asLong();
  }

  private static Map<String, Object> one(String name, Object value) {
    Map<String, Object> members = new LinkedHashMap<>();
    members.put(name, value);
    return members;
  }

  private static Object text(byte[] bytes) {
    try {
      return one("text", StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString());
    } catch (CharacterCodingException cut) {
      return one("hex", HexFormat.of().formatHex(bytes));
    }
  }

  /** The components of a record, by the names they have in C. */
  private static Map<String, Object> members(Record record) {
    Map<String, Object> members = new LinkedHashMap<>();
    for (RecordComponent component : record.getClass().getRecordComponents()) {
      members.put(snake(component.getName()), invoke(component.getAccessor(), record));
    }
    return members;
  }

  private static Map<String, Object> getters(SessionOptions options) {
    Map<String, Object> members = new LinkedHashMap<>();
    for (Method method : SessionOptions.class.getMethods()) {
      if (method.getDeclaringClass() == SessionOptions.class && method.getParameterCount() == 0) {
        members.put(snake(method.getName()), invoke(method, options));
      }
    }
    members.remove("to_builder");
    return members;
  }

  private static Object invoke(Method getter, Object object) {
    try {
      Object value = getter.invoke(object);
      if (value instanceof Boolean truth) return truth ? 1 : 0;
      return value instanceof Enum<?> constant ? constant.name().toLowerCase(Locale.ROOT) : value;
    } catch (ReflectiveOperationException failure) {
      throw new AssertionError(failure);
    }
  }

  private static String camel(String name) {
    StringBuilder out = new StringBuilder();
    for (String part : name.split("_")) {
      out.append(out.length() == 0 ? part
          : Character.toUpperCase(part.charAt(0)) + part.substring(1));
    }
    return out.toString();
  }

  private static String snake(String name) {
    return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
  }
}
