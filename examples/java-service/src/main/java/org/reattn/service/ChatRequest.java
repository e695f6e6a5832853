package org.reattn.service;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.reattn.ChatMessage;
import org.reattn.GenerationOptions;

/** The body of a chat completion, checked; what would be ignored is refused. */
record ChatRequest(List<ChatMessage> messages, String model, String document, boolean stream,
    boolean includeUsage, GenerationOptions options) {
  private static final Set<String> KNOWN = Set.of("messages", "model", "document", "stream",
      "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k",
      "min_p", "repetition_penalty", "response_format", "seed", "stop", "n", "user", "metadata", "store");

  static ChatRequest of(JsonNode body, ServiceOptions limits) {
    if (body == null || !body.isObject()) throw Refused.bad("the body is no JSON object");
    body.fieldNames().forEachRemaining(name -> {
      boolean nothing = body.get(name).isNull();
      if (!KNOWN.contains(name) && !nothing) throw Refused.bad("'" + name + "' is not supported");
    });
    if (body.path("n").asInt(1) != 1) throw Refused.bad("'n' above 1 is not supported");
    GenerationOptions.Builder options = GenerationOptions.builder();
    int wanted = integer(body, "max_completion_tokens",
        integer(body, "max_tokens", limits.defaultTokens, Integer.MAX_VALUE), Integer.MAX_VALUE);
    if (wanted < 1) throw Refused.bad("'max_tokens' is below 1");
    options.maxTokens(Math.min(wanted, limits.maxTokens));
    options.temperature(number(body, "temperature", 1, 2));
    options.topP(number(body, "top_p", 1, 1));
    options.topK(integer(body, "top_k", 0, Integer.MAX_VALUE));
    options.minP(number(body, "min_p", 0, 1));
    options.repetitionPenalty(number(body, "repetition_penalty", 1, 100));
    String schema = schema(body.path("response_format"));
    if (schema != null) options.jsonSchema(schema);
    options.seed(body.path("seed").asLong(System.nanoTime()));
    for (String stop : stops(body.path("stop"))) options.stop(stop);
    return new ChatRequest(messages(body.path("messages")), text(body, "model"),
        text(body, "document"), body.path("stream").asBoolean(),
        body.path("stream_options").path("include_usage").asBoolean(), options.build());
  }

  private static List<ChatMessage> messages(JsonNode given) {
    List<ChatMessage> messages = new ArrayList<>();
    for (JsonNode each : given) {
      if (!each.path("role").isTextual()) throw Refused.bad("a message has no 'role'");
      messages.add(new ChatMessage(each.get("role").asText(), content(each.path("content"))));
    }
    if (messages.isEmpty()) throw Refused.bad("'messages' is missing or empty");
    return messages;
  }

  /** A string, or an array of parts of type text. */
  private static String content(JsonNode given) {
    if (given.isTextual()) return given.asText();
    if (!given.isArray()) throw Refused.bad("a message has no 'content'");
    StringBuilder text = new StringBuilder();
    for (JsonNode part : given) {
      if (!part.path("type").asText().equals("text") || !part.path("text").isTextual()) {
        throw Refused.bad("contents that are not text are not supported");
      }
      text.append(part.get("text").asText());
    }
    return text.toString();
  }

  /** The JSON schema of an answer; null: any text. */
  private static String schema(JsonNode format) {
    if (format.isMissingNode() || format.isNull()) return null;
    switch (format.path("type").asText()) {
      case "text": return null;
      case "json_object": return "{\"type\": \"object\"}";
      case "json_schema":
        JsonNode schema = format.at("/json_schema/schema");
        if (schema.isObject()) return schema.toString();
        throw Refused.bad("'response_format' has no object 'json_schema.schema'");
      default: throw Refused.bad("'response_format' is none of text, json_object, json_schema");
    }
  }

  private static List<String> stops(JsonNode given) {
    List<String> stops = new ArrayList<>();
    if (given.isTextual()) stops.add(given.asText());
    for (JsonNode each : given) {
      if (!each.isTextual()) throw Refused.bad("'stop' holds what is no text");
      stops.add(each.asText());
    }
    if (stops.size() > 4) throw Refused.bad("'stop' holds more than 4 texts");
    return stops;
  }

  private static String text(JsonNode body, String name) {
    JsonNode value = body.path(name);
    if (value.isMissingNode() || value.isNull()) return null;
    if (!value.isTextual()) throw Refused.bad("'" + name + "' is no text");
    return value.asText();
  }

  private static float number(JsonNode body, String name, double otherwise, double most) {
    JsonNode value = body.path(name);
    if (value.isMissingNode() || value.isNull()) return (float) otherwise;
    if (!value.isNumber() || value.asDouble() < 0 || value.asDouble() > most) {
      throw Refused.bad("'" + name + "' is not a number from 0 to " + most);
    }
    return (float) value.asDouble();
  }

  private static int integer(JsonNode body, String name, int otherwise, int most) {
    JsonNode value = body.path(name);
    if (value.isMissingNode() || value.isNull()) return otherwise;
    if (!value.canConvertToInt() || !value.isIntegralNumber() || value.asInt() < 0
        || value.asInt() > most) {
      throw Refused.bad("'" + name + "' is not a whole number from 0 to " + most);
    }
    return value.asInt();
  }
}
