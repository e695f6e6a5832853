// Checks of a thrown reattn::Error: its code, and what its message names.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "reattn/kernels/error.hpp"

namespace reattn::test {

template <class F>
void expect_error(ErrorCode code, std::initializer_list<std::string_view> fragments, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(static_cast<int>(e.code()), static_cast<int>(code)) << e.what();
    for (const auto fragment : fragments) {
      EXPECT_NE(std::string_view(e.what()).find(fragment), std::string_view::npos)
          << "'" << fragment << "' is not in: " << e.what();
    }
    return;
  }
  ADD_FAILURE() << "nothing was thrown";
}

}  // namespace reattn::test
