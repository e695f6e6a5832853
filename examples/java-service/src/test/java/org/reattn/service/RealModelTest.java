package org.reattn.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;
import org.reattn.Device;

/** What the service is for, on the small real model: a document longer than its window of 8,192. */
@EnabledIfEnvironmentVariable(named = "REATTN_TEST_MODEL", matches = ".+")
class RealModelTest {
  private static final String FACT = "The keeper of the north door is called Barnabas Quill.";
  private static final String QUESTION = "The keeper of the north door is called";
  private static final int COPIES = 5;

  private static JsonNode post(String url, String body) throws Exception {
    HttpResponse<String> response = HttpClient.newHttpClient().send(
        HttpRequest.newBuilder(URI.create(url)).POST(HttpRequest.BodyPublishers.ofString(body))
            .build(), HttpResponse.BodyHandlers.ofString());
    assertEquals(200, response.statusCode(), response.body());
    return new ObjectMapper().readTree(response.body());
  }

  @Test
  void aFactBeyondTheWindowIsFound(@TempDir Path data) throws Exception {
    String license = Files.readString(Path.of("../../LICENSE")).repeat(COPIES);
    int at = license.indexOf("\n\n", license.length() / 3);
    String document = license.substring(0, at) + "\n\n" + FACT + license.substring(at);

    ServiceOptions options = new ServiceOptions();
    options.model = Path.of(System.getenv("REATTN_TEST_MODEL"));
    options.data = data;
    options.port = 0;
    options.device = Device.CPU;
    options.template = false; // so small a model goes on with a sentence better than it answers
    options.nLocal = 512L;
    options.nAnchors = 127;
    options.span = 16;
    options.voteStride = 4;
    try (Service service = new Service(options)) {
      String url = "http://127.0.0.1:" + service.port() + "/v1/";
      JsonNode read = post(url + "documents?title=Terms", document);
      long n = read.get("end_token").asLong();
      assertTrue(n > 8192 + 1024, n + " tokens");
      JsonNode answer = post(url + "chat/completions", "{\"messages\": [{\"role\": \"user\","
          + " \"content\": \"" + QUESTION + "\"}], \"temperature\": 0, \"max_tokens\": 8,"
          + " \"document\": \"" + read.get("id").asText() + "\"}");
      String said = answer.at("/choices/0/message/content").asText();
      assertTrue(said.startsWith(" Barnabas Quill"), answer.toString());
      boolean recalled = false;
      for (JsonNode passage : answer.get("recalled")) {
        recalled |= passage.get("text").asText().contains("Barnabas Quill")
            && Math.abs(passage.get("begin").asInt() - at) < FACT.length() + 200;
      }
      assertTrue(recalled, answer.get("recalled").toString());
    }
  }
}
