// Reference expansion: the anchors in ascending order, each adding what its predecessors have not
// covered.
#include <algorithm>
#include <vector>

#include "kernels/cpu/reference/reference.hpp"

namespace reattn::kernels::reference {

void expand(const ExpandArgs& a) {
  std::vector<int32_t> anchors(a.anchors, a.anchors + std::max(*a.n_anchors, 0));
  std::sort(anchors.begin(), anchors.end());
  int64_t covered = a.middle_begin;  // every position of the union below this one is written
  int32_t n = 0;
  for (const int64_t anchor : anchors) {
    const int64_t begin = std::max(anchor - a.span / 2, covered);
    const int64_t end = std::min(anchor - a.span / 2 + a.span, a.middle_end);
    for (int64_t t = begin; t < end; ++t) a.positions[n++] = static_cast<int32_t>(t);
    covered = std::max(covered, end);
  }
  *a.n_positions = n;
}

}  // namespace reattn::kernels::reference
