// What IQ4_NL's 16 values stand for.
#pragma once

#include <array>
#include <cstdint>

namespace reattn::kernels::reference {

// Closer together near 0, where most weights are.
inline constexpr std::array<int8_t, 16> kLevels = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                   1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace reattn::kernels::reference
