// Reference vote: sorts the picks, counts equal ones, keeps the positions with most votes.
#include <algorithm>
#include <vector>

#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void vote(const VoteArgs& a) {
  std::vector<int32_t> picks;
  picks.reserve(static_cast<size_t>(a.n_picks));
  for (int64_t i = 0; i < a.n_picks; ++i) {
    if (a.picks[i] >= a.middle_begin && a.picks[i] < a.middle_end) picks.push_back(a.picks[i]);
  }
  std::sort(picks.begin(), picks.end());

  struct Candidate {
    int32_t position;
    int32_t votes;
  };
  std::vector<Candidate> candidates;
  for (const int32_t position : picks) {
    if (candidates.empty() || candidates.back().position != position) {
      candidates.push_back({position, 0});
    }
    ++candidates.back().votes;
  }
  const size_t n_kept = std::min(candidates.size(), static_cast<size_t>(std::max(a.n_anchors, 0)));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(n_kept),
                    candidates.end(), [](const Candidate& x, const Candidate& y) {
                      return x.votes != y.votes ? x.votes > y.votes : x.position < y.position;
                    });
  for (size_t i = 0; i < n_kept; ++i) {
    a.anchors[i] = candidates[i].position;
    a.votes[i] = candidates[i].votes;
  }
  *a.n_found = static_cast<int32_t>(n_kept);
}

}  // namespace reattn::kernels::reference
