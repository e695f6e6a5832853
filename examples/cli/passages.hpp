// Which passages of the document were recalled, for people to look at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "examples/cli/api.hpp"

namespace reattn::cli {

struct Passage {
  int64_t begin;  // token positions [begin, end)
  int64_t end;
  int64_t votes;  // cast for positions in it, over all layers
};

// The n_passages stretches of at most 48 tokens that got most votes, the most voted first. The
// spans of each layer are added up: over all layers together they would join into passages as long
// as the document. A span's votes are spread evenly over its tokens.
std::vector<Passage> best_passages(const std::vector<std::vector<reattn_span>>& layers,
                                   size_t n_passages);

// Writes the passages recalled while the request read its last append (the question), with their
// positions, votes and text.
void write_passages(const reattn_request* request, const reattn_session* session, int64_t n_layers,
                    size_t n_passages);

// Bytes cut from text as one line: parts of characters at its ends are left out, white space and
// control characters become single spaces.
std::string one_line(const std::string& text);

}  // namespace reattn::cli
