/* ask MODEL FILE QUESTION: reads a text of any length and answers a question about it. */
#include <reattn/reattn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define TEXT(s) (const uint8_t*)(s), strlen(s)
static reattn_error* err;
static int check(int s) {
  if (s < 0) fprintf(stderr, "%s: %s\n", reattn_status_name(s), reattn_error_message(err)), exit(1);
  return s;
}
int main(int argc, char** argv) {
  FILE* file = argc == 4 ? fopen(argv[2], "rb") : NULL;
  if (!file) return fprintf(stderr, "usage: ask MODEL FILE QUESTION\n"), 2;
  uint8_t buf[65536];
  reattn_model* model;
  reattn_session* session;
  reattn_request* request;
  check(reattn_model_open(TEXT(argv[1]), NULL, &model, &err)); /* loads in the background */
  check(reattn_model_wait(model, -1, NULL, &err));
  check(reattn_session_create(model, NULL, NULL, &session, &err));
  for (size_t n; (n = fread(buf, 1, sizeof buf, file)) > 0;) /* the text, in pieces of one append */
    check(reattn_session_append_text(session, buf, n, REATTN_APPEND_MORE, &err));
  check(reattn_session_append_text(session, NULL, 0, 0, &err));       /* its end */
  check(reattn_session_append_text(session, TEXT(argv[3]), 0, &err)); /* the question, apart */
  reattn_request_options options;
  check(reattn_request_options_init(&options, sizeof options, &err));
  options.max_tokens = 64;
  check(reattn_request_create(session, &options, &request, &err)); /* reads, then generates */
  reattn_event event = {.struct_size = sizeof event};
  while (check(reattn_request_next(request, -1, &event, buf, sizeof buf, NULL, &err)) != REATTN_END)
    fwrite(buf, 1, event.text_bytes, stdout);
  reattn_request_free(request), reattn_session_free(session), reattn_model_free(model);
  return fclose(file);
}
