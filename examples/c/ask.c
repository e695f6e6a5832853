/* ask MODEL FILE QUESTION: reads a text of any length and answers a question about it. */
#include <reattn/reattn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (const uint8_t*)(s), strlen(s)
static reattn_error* err;
static reattn_status check(reattn_status status) {
  if (status >= 0) return status;
  fprintf(stderr, "%s: %s\n", reattn_status_name(status), reattn_error_message(err));
  exit(1);
}

int main(int argc, char** argv) {
  FILE* file = argc == 4 ? fopen(argv[2], "rb") : NULL;
  if (!file) return fprintf(stderr, "usage: ask MODEL FILE QUESTION\n"), 2;

  reattn_model* model; /* loads in the background until it is waited for */
  check(reattn_model_open(TEXT(argv[1]), NULL, &model, &err));
  check(reattn_model_wait(model, -1, NULL, &err));

  reattn_session* session; /* the text in pieces of one append, then the question */
  check(reattn_session_create(model, NULL, NULL, &session, &err));
  uint8_t buf[4096];
  for (size_t n; (n = fread(buf, 1, sizeof buf, file)) > 0;)
    check(reattn_session_append_text(session, buf, n, REATTN_APPEND_MORE, &err));
  check(reattn_session_append_text(session, NULL, 0, 0, &err));
  check(reattn_session_append_text(session, TEXT(argv[3]), 0, &err));

  reattn_request* request; /* reads what was appended, then generates */
  reattn_request_options options;
  check(reattn_request_options_init(&options, sizeof options, &err));
  options.max_tokens = 64;
  check(reattn_request_create(session, &options, &request, &err));
  reattn_event event = {.struct_size = sizeof event};
  while (check(reattn_request_next(request, -1, &event, buf, sizeof buf, NULL, &err)) !=
         REATTN_END) {
    if (event.kind == REATTN_EVENT_PREFILL)
      fprintf(stderr, "\rread %ld of %ld tokens", (long)event.n_done, (long)event.n_total);
    fwrite(buf, 1, event.text_bytes, stdout);
  }
  putchar('\n');
  fclose(file);
  reattn_request_free(request);
  reattn_session_free(session);
  reattn_model_free(model);
  return 0;
}
