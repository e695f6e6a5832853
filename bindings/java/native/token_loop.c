/* token_loop GENERATIONS TOKENS: microseconds that a token of a tiny made-up model takes in C, one
 * number to a generation; OverheadTest does the same in Java. */
#include <reattn/reattn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static reattn_error* err;

static int check(int status) {
  if (status < 0) {
    fprintf(stderr, "%s: %s\n", reattn_status_name(status), reattn_error_message(err));
    exit(1);
  }
  return status;
}

static double now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

/* Of the tokens after the first, so that reading is not counted. */
static double generation_us(reattn_model* model, long n_tokens) {
  const int32_t prompt[] = {1, 2, 3};
  reattn_session* session;
  reattn_request* request;
  reattn_request_options options;
  check(reattn_session_create(model, NULL, NULL, &session, &err));
  check(reattn_session_append_ids(session, prompt, 3, 0, &err));
  check(reattn_request_options_init(&options, sizeof options, &err));
  options.ignore_end = 1;
  options.max_tokens = n_tokens;
  check(reattn_request_create(session, &options, &request, &err));
  reattn_event event = {.struct_size = sizeof event};
  uint8_t buf[4096];
  double begin = 0, end = 0;
  while (check(reattn_request_next(request, -1, &event, buf, sizeof buf, NULL, &err)) == REATTN_OK) {
    if (event.kind != REATTN_EVENT_TEXT) continue;
    end = now_us();
    if (begin == 0) begin = end;
  }
  reattn_request_free(request);
  reattn_session_free(session);
  return (end - begin) / (n_tokens - 1);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const reattn_geometry geometry = {.struct_size = sizeof geometry, .n_layers = 1, .n_embd = 32,
    .n_heads = 1, .n_kv_heads = 1, .head_dim = 32, .n_ff = 32, .n_vocab = 64, .n_window = 512,
    .rope_freq_base = 10000, .seed = 1};
  reattn_model_options options;
  check(reattn_model_options_init(&options, sizeof options, &err));
  options.device = REATTN_DEVICE_CPU;
  options.n_threads = 1;
  reattn_model* model;
  check(reattn_model_synthesize(&geometry, &options, &model, &err));
  check(reattn_model_wait(model, -1, NULL, &err));
  for (long i = 0; i < atol(argv[1]); i++) printf("%f\n", generation_us(model, atol(argv[2])));
  reattn_model_free(model);
  return 0;
}
