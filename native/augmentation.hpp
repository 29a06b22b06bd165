// Pictures changed at random while a network learns, as a row of Python's table says.
#pragma once

#include <cstdint>

#include "network.hpp"

namespace lenet {

// A row: rows down, columns right, mirrored or not; where pictures are warped, a grid of
// displacements in rows and one of those in columns, in 1/256 of a pixel
// (src/lenet/engines/warping.py says what they do); where they are painted over, a rectangle: top,
// left, height, width, grey.
constexpr int warp_grid = 5, moves = 3, moves_and_warp = moves + 2 * warp_grid * warp_grid;

// The picture mirrored, warped, moved, then painted over, as a row of so many numbers says; 0 moves
// in. The C interface never changes pictures, and
// the page's module has no room for what nobody calls.
#ifdef LENET_PICTURES_AS_THEY_ARE
inline void change_picture(const std::uint8_t*, const std::int16_t*, std::int64_t, const Shape&,
                           std::uint8_t*) {}
#else
void change_picture(const std::uint8_t* from, const std::int16_t* row, std::int64_t numbers,
                    const Shape&, std::uint8_t* to);
#endif

}  // namespace lenet
