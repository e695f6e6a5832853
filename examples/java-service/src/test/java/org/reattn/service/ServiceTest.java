package org.reattn.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.reattn.Device;

/** The service as its clients see it, on the tiny model. */
@Timeout(120)
class ServiceTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final HttpClient CLIENT = HttpClient.newHttpClient();
  private static final String DOCUMENT =
      "Zoë wrote that the north door 🐟 opens with 4711, and the 倉庫 with 9032.\n".repeat(20);

  @TempDir Path data;
  private Service service;

  private void start(Consumer<ServiceOptions> change) throws IOException {
    ServiceOptions options = new ServiceOptions();
    options.model = Path.of(System.getenv("REATTN_TINY_MODEL"));
    options.data = data;
    options.port = 0;
    options.device = Device.CPU;
    options.threads = 1;
    options.nLocal = 64L;
    options.chunk = 32;
    options.span = 8;
    options.nAnchors = 8;
    change.accept(options);
    service = new Service(options);
  }

  @AfterEach
  void stop() {
    if (service != null) service.close();
  }

  private HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + service.port() + path));
  }

  private static HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
    return CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  private HttpResponse<String> post(String path, String body) throws Exception {
    return send(request(path).POST(HttpRequest.BodyPublishers.ofString(body)));
  }

  private static JsonNode ok(HttpResponse<String> response) throws IOException {
    assertEquals(200, response.statusCode(), response.body());
    return JSON.readTree(response.body());
  }

  private static void refused(int status, String code, HttpResponse<String> response)
      throws IOException {
    assertEquals(status, response.statusCode(), response.body());
    assertEquals(code, JSON.readTree(response.body()).at("/error/code").asText());
    assertFalse(JSON.readTree(response.body()).at("/error/message").asText().isEmpty());
  }

  private static List<JsonNode> events(HttpResponse<String> response) throws IOException {
    assertEquals(200, response.statusCode(), response.body());
    assertTrue(response.headers().firstValue("Content-Type").orElse("")
        .startsWith("text/event-stream"));
    List<JsonNode> events = new ArrayList<>();
    for (String line : response.body().split("\n")) {
      if (line.startsWith("data: {")) events.add(JSON.readTree(line.substring(6)));
    }
    return events;
  }

  private static String ask(String more) {
    return "{\"messages\": [{\"role\": \"user\", \"content\": \"Which door? 😀\"}], \"temperature\": 0"
        + more + "}";
  }

  @Test
  void models() throws Exception {
    start(options -> {});
    JsonNode models = ok(send(request("/v1/models")));
    assertEquals("list", models.get("object").asText());
    assertEquals(1, models.get("data").size());
    assertFalse(models.at("/data/0/id").asText().contains("/"));
  }

  @Test
  void wholeAndStreamedAreTheSame() throws Exception {
    start(options -> {});
    JsonNode whole = ok(post("/v1/chat/completions", ask(", \"max_tokens\": 20")));
    assertEquals("chat.completion", whole.get("object").asText());
    String text = whole.at("/choices/0/message/content").asText();
    assertFalse(text.isEmpty());
    int n = whole.at("/usage/completion_tokens").asInt();
    assertTrue(n > 0 && n <= 20, whole.toString());
    assertEquals(n == 20 ? "length" : "stop", whole.at("/choices/0/finish_reason").asText());

    HttpResponse<String> response = post("/v1/chat/completions", ask(
        ", \"max_tokens\": 20, \"stream\": true, \"stream_options\": {\"include_usage\": true}"));
    assertTrue(response.body().endsWith("data: [DONE]\n\n"));
    StringBuilder streamed = new StringBuilder();
    List<JsonNode> events = events(response);
    for (JsonNode event : events) {
      assertEquals("chat.completion.chunk", event.get("object").asText());
      streamed.append(event.at("/choices/0/delta/content").asText());
    }
    assertEquals(text, streamed.toString());
    assertEquals("assistant", events.get(0).at("/choices/0/delta/role").asText());
    assertEquals(n, events.get(events.size() - 1).at("/usage/completion_tokens").asInt());
  }

  @Test
  void aDocumentIsReadOnceAndAskedOften() throws Exception {
    start(options -> {});
    List<JsonNode> events = events(send(request("/v1/documents?title=Ledger")
        .header("Accept", "text/event-stream")
        .POST(HttpRequest.BodyPublishers.ofString(DOCUMENT))));
    long done = 0;
    int progress = 0;
    for (JsonNode event : events) {
      if (!event.get("event").asText().equals("progress")) continue;
      progress++;
      assertTrue(event.get("n_done").asLong() > done);
      done = event.get("n_done").asLong();
      assertTrue(done <= event.get("n_total").asLong());
    }
    assertTrue(progress > 10, events.toString());
    JsonNode document = events.get(events.size() - 1).get("document");
    String id = document.get("id").asText();
    assertEquals("Ledger", document.get("title").asText());
    assertEquals(DOCUMENT, send(request("/v1/documents/" + id + "/text")).body());

    String question = ask(", \"max_tokens\": 12, \"document\": \"" + id + "\"");
    JsonNode first = ok(post("/v1/chat/completions", question));
    assertPassages(first.get("recalled"));
    List<JsonNode> streamed = events(post("/v1/chat/completions",
        ask(", \"max_tokens\": 12, \"stream\": true, \"document\": \"" + id + "\"")));
    assertEquals(first.get("recalled"), streamed.get(streamed.size() - 1).get("recalled"));

    // A new process of the service finds it, and answers the same.
    service.close();
    start(options -> {});
    assertEquals(id, ok(send(request("/v1/documents"))).at("/data/0/id").asText());
    JsonNode again = ok(post("/v1/chat/completions", question));
    assertEquals(first.get("choices"), again.get("choices"));
    assertEquals(first.get("recalled"), again.get("recalled"));

    assertEquals(204, send(request("/v1/documents/" + id).DELETE()).statusCode());
    refused(404, "document_not_found", send(request("/v1/documents/" + id)));
    refused(404, "document_not_found", post("/v1/chat/completions", question));
    try (Stream<Path> left = Files.list(data)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @Test
  void aLongTitleEndsWithAWholeCharacter() throws Exception {
    start(options -> {});
    String title = "t".repeat(199) + "🐟";
    JsonNode document = ok(post("/v1/documents?title="
        + URLEncoder.encode(title, StandardCharsets.UTF_8), "Tea"));
    assertEquals("t".repeat(199), document.get("title").asText());
  }

  /** More documents than are kept open, asked about by several at once. */
  @Test
  void documentsAreOpenedAnew() throws Exception {
    start(options -> options.maxOpenSnapshots = 1);
    List<String> questions = new ArrayList<>();
    List<JsonNode> answers = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      String id = ok(post("/v1/documents", i + " " + DOCUMENT)).get("id").asText();
      questions.add(ask(", \"max_tokens\": 3, \"document\": \"" + id + "\""));
      answers.add(ok(post("/v1/chat/completions", questions.get(i))).get("recalled"));
    }
    List<CompletableFuture<HttpResponse<String>>> asked = new ArrayList<>();
    for (int i = 0; i < 30; i++) {
      asked.add(CLIENT.sendAsync(request("/v1/chat/completions").POST(
          HttpRequest.BodyPublishers.ofString(questions.get(i % 3))).build(),
          HttpResponse.BodyHandlers.ofString()));
    }
    for (int i = 0; i < 30; i++) {
      assertEquals(answers.get(i % 3), ok(asked.get(i).join()).get("recalled"));
    }
  }

  private static void assertPassages(JsonNode recalled) {
    assertTrue(recalled.size() > 1, recalled.toString());
    long votes = Long.MAX_VALUE;
    for (JsonNode passage : recalled) {
      assertEquals(DOCUMENT.substring(passage.get("begin").asInt(), passage.get("end").asInt()),
          passage.get("text").asText());
      assertTrue(passage.get("votes").asLong() <= votes);
      votes = passage.get("votes").asLong();
    }
  }

  @Test
  void whatIsRefused() throws Exception {
    start(options -> {
      options.maxBodyBytes = 10_000;
      options.maxDocumentBytes = 20_000;
    });
    String chat = "/v1/chat/completions";
    String wrong = "invalid_request_error";
    refused(400, wrong, post(chat, "no json"));
    refused(400, wrong, post(chat, ""));
    refused(400, wrong, post(chat, "[]"));
    refused(400, wrong, post(chat, "{}"));
    refused(400, wrong, post(chat, "{\"messages\": [{\"role\": \"user\"}]}"));
    refused(400, wrong, post(chat, ask(", \"tools\": []")));
    refused(400, wrong, post(chat, ask(", \"n\": 2")));
    refused(400, wrong, post(chat, ask(", \"max_tokens\": 0")));
    refused(400, wrong, post(chat, ask(", \"max_tokens\": \"many\"")));
    refused(400, wrong, post(chat, ask(", \"top_p\": 1.5")));
    refused(400, wrong, post(chat, ask(", \"stop\": [1]")));
    refused(400, wrong, post(chat, ask(", \"response_format\": {\"type\": \"xml\"}")));
    refused(400, wrong, post(chat, ask(", \"response_format\": {\"type\": \"json_schema\"}")));
    refused(400, "arg", post(chat, ask(", \"response_format\": {\"type\": \"json_schema\","
        + " \"json_schema\": {\"schema\": {\"type\": \"door\"}}}")));
    refused(400, "unsupported", post(chat, ask(", \"response_format\": {\"type\": \"json_schema\","
        + " \"json_schema\": {\"schema\": {\"not\": {}}}}")));
    refused(400, "arg", post(chat, ask(", \"repetition_penalty\": 0")));
    refused(400, "arg", post(chat, ask(", \"top_p\": 0, \"temperature\": 1")));
    refused(404, "model_not_found", post(chat, ask(", \"model\": \"gpt\"")));
    refused(404, "document_not_found", post(chat, ask(", \"document\": \"../../etc/passwd\"")));
    refused(404, "document_not_found", send(request("/v1/documents/..%2F..%2Fetc")));
    refused(413, "too_large", post(chat, ask(", \"user\": \"" + "x".repeat(10_000) + "\"")));
    refused(413, "too_large", post("/v1/documents", "x".repeat(20_001)));
    refused(413, "too_large", send(request("/v1/documents").POST( // of unknown length
        HttpRequest.BodyPublishers.ofInputStream(() ->
            new java.io.ByteArrayInputStream(new byte[30_000])))));
    refused(400, wrong, post("/v1/documents", "  "));
    refused(400, wrong, send(request("/v1/documents").POST(
        HttpRequest.BodyPublishers.ofByteArray(new byte[] {'a', (byte) 0xff}))));
    assertEquals(405, send(request(chat)).statusCode());
    assertEquals(431, send(request("/v1/models").header("X", "y".repeat(20_000))).statusCode());
    assertEquals(0, service.load());
  }

  @Test
  void anAnswerMayBeJson() throws Exception {
    start(options -> {});
    String schema = ", \"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"door\","
        + " \"schema\": {\"enum\": [\"north\", \"south\"]}}}";
    JsonNode answer = ok(post("/v1/chat/completions", ask(schema)));
    assertTrue(List.of("\"north\"", "\"south\"")
        .contains(answer.at("/choices/0/message/content").asText()), answer.toString());
    assertEquals("stop", answer.at("/choices/0/finish_reason").asText());
  }

  @Test
  void noMoreTokensThanAllowed() throws Exception {
    start(options -> options.maxTokens = 5);
    JsonNode answer = ok(post("/v1/chat/completions", ask(", \"max_tokens\": 100000")));
    assertTrue(answer.at("/usage/completion_tokens").asInt() <= 5, answer.toString());
  }

  /** With the template more is read than without, and something else comes of it. */
  @Test
  void withoutATemplate() throws Exception {
    start(options -> {});
    JsonNode with = ok(post("/v1/chat/completions", ask(", \"max_tokens\": 8")));
    service.close();
    start(options -> options.template = false);
    JsonNode without = ok(post("/v1/chat/completions", ask(", \"max_tokens\": 8")));
    assertTrue(without.at("/usage/prompt_tokens").asInt() < with.at("/usage/prompt_tokens").asInt());
    assertFalse(without.get("choices").equals(with.get("choices")));
  }

  /** The library adds none by itself; a template has its own. */
  @Test
  void withoutATemplateABeginningIsAdded(@TempDir Path folder) throws Exception {
    byte[] file = Files.readAllBytes(Path.of(System.getenv("REATTN_TINY_MODEL")));
    String key = "tokenizer.ggml.add_bos_token";
    int flag = new String(file, StandardCharsets.ISO_8859_1).indexOf(key) + key.length() + 4;
    int[] tokens = new int[2];
    int[] begins = new int[2];
    for (int i = 0; i < 2; i++) {
      file[flag] = (byte) i;
      Path model = Files.write(folder.resolve(i + ".gguf"), file);
      start(options -> {
        options.model = model;
        options.template = false;
      });
      tokens[i] = ok(post("/v1/chat/completions", ask(", \"max_tokens\": 1")))
          .at("/usage/prompt_tokens").asInt();
      begins[i] = ok(post("/v1/documents", DOCUMENT)).get("begin_token").asInt();
      service.close();
    }
    assertEquals(tokens[0] + 1, tokens[1]);
    assertEquals(0, begins[0]);
    assertEquals(1, begins[1]);
  }

  // ---- Who may ask --------------------------------------------------------------------------

  /** The status of a request written by hand. */
  private int raw(String request) throws IOException {
    try (Socket socket = new Socket("127.0.0.1", service.port())) {
      socket.getOutputStream().write(request.getBytes(StandardCharsets.UTF_8));
      byte[] begin = socket.getInputStream().readNBytes(12);
      return Integer.parseInt(new String(begin, 9, 3, StandardCharsets.US_ASCII));
    }
  }

  private int get(String host, String more) throws IOException {
    return raw("GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n");
  }

  @Test
  void withoutAKeyOnlyThisMachine() throws Exception {
    start(options -> {});
    String own = "localhost:" + service.port();
    assertEquals(200, get(own, ""));
    assertEquals(200, get(own, "Origin: http://" + own + "\r\n"));
    assertEquals(403, get("evil.example", ""));
    assertEquals(403, get("localhost.evil.example:80", ""));
    assertEquals(403, get(own, "Origin: http://evil.example\r\n"));
    assertEquals(403, get(own, "Origin: null\r\n"));
    assertThrows(IllegalArgumentException.class, () -> start(options -> options.host = "0.0.0.0"));
  }

  @Test
  void anotherAddressOfTheLoopback() throws Exception {
    start(options -> options.host = "127.0.0.2");
    HttpResponse<String> response = send(HttpRequest.newBuilder(
        URI.create("http://127.0.0.2:" + service.port() + "/v1/models")));
    assertEquals(200, response.statusCode(), response.body());
    ServiceOptions options = new ServiceOptions();
    options.host = "::1";
    assertEquals("[::1]", options.hostName());
  }

  @Test
  void withAKey() throws Exception {
    start(options -> options.key = "a key");
    refused(401, "invalid_api_key", send(request("/v1/models")));
    refused(401, "invalid_api_key",
        send(request("/v1/models").header("Authorization", "Bearer a kez")));
    ok(send(request("/v1/models").header("Authorization", "Bearer a key")));
  }

  /** It has nothing of anybody's, so it needs no key; what it shows it has to ask for. */
  @Test
  void thePage() throws Exception {
    start(options -> options.key = "a key");
    for (String path : List.of("/", "/app.js", "/style.css")) {
      HttpResponse<String> response = send(request(path));
      assertEquals(200, response.statusCode(), path);
      String policy = response.headers().firstValue("Content-Security-Policy").orElse("");
      assertTrue(policy.contains("frame-ancestors 'none'"), policy);
    }
    for (String path : List.of("/v1/models", "/v1//documents", "/V1/models", "/%761/models",
        "/./v1/models", "/v1;x/models")) {
      assertTrue(send(request(path)).statusCode() >= 400, path);
    }
  }

  // ---- Load ---------------------------------------------------------------------------------

  private static final byte[] BOOK = DOCUMENT.repeat(200).getBytes(StandardCharsets.UTF_8);

  /** A client that gives the service a book to read, with events or to wait for the whole. */
  private Socket reader(boolean events) throws Exception {
    String head = "POST /v1/documents HTTP/1.1\r\nHost: localhost\r\n"
        + (events ? "Accept: text/event-stream\r\n" : "")
        + "Content-Length: " + BOOK.length + "\r\n\r\n";
    int before = service.load();
    Socket client = new Socket("127.0.0.1", service.port());
    client.getOutputStream().write(head.getBytes(StandardCharsets.US_ASCII));
    client.getOutputStream().write(BOOK);
    while (service.load() <= before) Thread.sleep(5);
    if (events) client.getInputStream().read(); // what comes after waits for it
    return client;
  }

  @Test
  void aDocumentDeletedMeanwhileIsAnErrorEvent() throws Exception {
    start(options -> options.maxRunning = 1);
    String id = ok(post("/v1/documents", DOCUMENT)).get("id").asText();
    HttpResponse<InputStream> answer;
    try (Socket first = reader(true)) {
      // Waits for its turn; the response begins with a sign of life.
      answer = CLIENT.send(request("/v1/chat/completions").POST(HttpRequest.BodyPublishers.ofString(
          ask(", \"max_tokens\": 3, \"stream\": true, \"document\": \"" + id + "\""))).build(),
          HttpResponse.BodyHandlers.ofInputStream());
      assertEquals(200, answer.statusCode());
      assertEquals(204, send(request("/v1/documents/" + id).DELETE()).statusCode());
    }
    String body = new String(answer.body().readAllBytes(), StandardCharsets.UTF_8);
    String last = body.substring(body.lastIndexOf("data: ") + 6);
    assertEquals("document_not_found", JSON.readTree(last).at("/error/code").asText(), body);
  }

  /** A failure of the disk is not a client that went away. */
  @Test
  void aFailureOfTheDiskIsTold() throws Exception {
    start(options -> {});
    String id = ok(post("/v1/documents", DOCUMENT)).get("id").asText();
    Files.delete(data.resolve(id + ".txt"));
    refused(500, "internal_error", send(request("/v1/documents/" + id + "/text")));
    String question = ask(", \"max_tokens\": 3, \"document\": \"" + id + "\"");
    refused(500, "internal_error", post("/v1/chat/completions", question));
  }

  /** Nobody waits for a thread that ended, whatever ended it. */
  @Test
  void whenTheEngineEndsAllAreTold() throws Exception {
    start(options -> options.maxRunning = 1);
    try (Socket first = reader(true)) {
      HttpResponse<InputStream> waiting = CLIENT.send(request("/v1/chat/completions")
          .POST(HttpRequest.BodyPublishers.ofString(ask(", \"stream\": true"))).build(),
          HttpResponse.BodyHandlers.ofInputStream());
      for (Thread each : Thread.getAllStackTraces().keySet()) {
        if (!each.getName().equals("reattn-engine")) continue;
        each.interrupt();
        each.join();
      }
      String body = new String(waiting.body().readAllBytes(), StandardCharsets.UTF_8);
      assertTrue(body.contains("data: {\"error\":"), body);
      assertEquals(500, post("/v1/chat/completions", ask("")).statusCode());
      while (service.load() > 0) Thread.sleep(5);
    }
  }

  /** Clients that go away: what was read for them ends, and the next ones are taken. */
  @Test
  void beyondTheBoundIs429AndWhoGoesAwayMakesRoom() throws Exception {
    start(options -> {
      options.maxRunning = 1;
      options.maxWaiting = 1;
    });
    List<Socket> clients = List.of(reader(true), reader(false));
    HttpResponse<String> third = post("/v1/chat/completions", ask(", \"max_tokens\": 3"));
    refused(429, "rate_limit_exceeded", third);
    assertEquals(429, raw("POST /v1/documents HTTP/1.1\r\nHost: localhost\r\n"
        + "Content-Length: 1000000\r\n\r\n"), "before the body is there");
    assertEquals("1", third.headers().firstValue("Retry-After").orElse(""));
    assertEquals(2, service.load());
    for (Socket client : clients) client.close();
    while (service.load() > 0) Thread.sleep(5);
    ok(post("/v1/chat/completions", ask(", \"max_tokens\": 3")));
    try (Stream<Path> left = Files.list(data)) {
      assertEquals(List.of(), left.toList(), "what was not read to its end is not kept");
    }
  }
}
