// Runs a test body once for each set of vector instructions that the kernels are built for and the machine has.
#pragma once

#include <gtest/gtest.h>

#include "hwy/highway.h"

namespace reattn::kernels {

template <class F>
void for_each_target(F&& body) {
  const int64_t usable = hwy::SupportedTargets() | HWY_SCALAR;
  for (const int64_t target : {HWY_AVX3_DL, HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_SCALAR}) {
    if ((usable & target) == 0) continue;
    hwy::SetSupportedTargetsForTest(target);
    SCOPED_TRACE(hwy::TargetName(target));
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace reattn::kernels
