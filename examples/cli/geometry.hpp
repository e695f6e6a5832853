// Shapes of well-known models, for measuring sizes whose weights are not at hand.
#pragma once

#include <string>
#include <vector>

#include "reattn/reattn.h"

namespace reattn::cli {

std::vector<std::string> geometry_names();
// `name` is one of geometry_names().
reattn_geometry geometry(const std::string& name);

}  // namespace reattn::cli
