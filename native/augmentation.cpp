#include "augmentation.hpp"

#include <algorithm>

#ifndef LENET_PICTURES_AS_THEY_ARE
namespace lenet {

namespace {

constexpr int units = 256;  // a pixel's parts, and those of a cell of the grid

// A value of one plane of a picture that may be mirrored; 0 outside.
int value_of(const std::uint8_t* plane, const Shape& shape, bool mirrored, int y, int x) {
    if (y < 0 || y >= shape.height || x < 0 || x >= shape.width) return 0;
    return plane[Stride(y) * shape.width + (mirrored ? shape.width - 1 - x : x)];
}

// A pixel's place among the points of the grid: the one before it, and the way from there.
struct GridPlace {
    int point, way;
    GridPlace(int pixel, int size) {
        const std::int64_t place = std::int64_t(pixel) * (warp_grid - 1) * units / size;
        point = static_cast<int>(place / units), way = static_cast<int>(place % units);
    }
};

int between(int before, int after, int way) { return before * (units - way) + after * way; }

// To the nearest 1/256, where 1/256³ were added up.
int rounded(int sum) { return (sum + units * units / 2) >> 16; }

void paint_over(const std::int16_t* rectangle, const Shape& shape, std::uint8_t* picture) {
    const int top = std::max<int>(rectangle[0], 0), left = std::max<int>(rectangle[1], 0);
    const int bottom = std::min(rectangle[0] + rectangle[2], shape.height);
    const int right = std::min(rectangle[1] + rectangle[3], shape.width);
    for (int c = 0; c < shape.channels; ++c)
        for (int y = top; y < bottom; ++y)
            for (int x = left; x < right; ++x)
                picture[(Stride(c) * shape.height + y) * shape.width + x] =
                    static_cast<std::uint8_t>(rectangle[4]);
}

}  // namespace

void change_picture(const std::uint8_t* from, const std::int16_t* row, std::int64_t numbers,
                    const Shape& shape, std::uint8_t* to) {
    const bool warped = numbers >= moves_and_warp;
    std::uint8_t* const picture = to;
    const int height = shape.height, width = shape.width;
    const Stride plane = Stride(height) * width;
    for (int y = 0; y < height; ++y) {
        const int wy = y - row[0];  // the row of the warped picture that comes here
        const bool row_inside = wy >= 0 && wy < height;
        int line[2 * warp_grid] = {};  // the grid's displacements on this row, in 1/256²
        if (warped && row_inside) {
            const GridPlace at(wy, height);
            for (int i = 0; i < 2 * warp_grid; ++i) {
                const int axis = i / warp_grid, first = moves + (warp_grid - 1) * warp_grid * axis;
                const std::int16_t* point = row + first + at.point * warp_grid + i;
                line[i] = between(point[0], point[warp_grid], at.way);
            }
        }
        for (int x = 0; x < width; ++x, ++to) {
            const int wx = x - row[1];
            const bool inside = row_inside && wx >= 0 && wx < width;
            int fy = wy * units, fx = wx * units;
            if (warped && inside) {
                const GridPlace at(wx, width);
                const int *dy = line + at.point, *dx = dy + warp_grid;
                fy += rounded(between(dy[0], dy[1], at.way));
                fx += rounded(between(dx[0], dx[1], at.way));
            }
            const int top = fy >> 8, left = fx >> 8;
            for (int c = 0; c < shape.channels; ++c) {
                int value = 0;
                if (inside && !warped)
                    value = value_of(from + c * plane, shape, row[2], top, left);
                else if (inside) {
                    int rows[2];
                    for (int i = 0; i < 2; ++i)
                        rows[i] = between(
                            value_of(from + c * plane, shape, row[2], top + i, left),
                            value_of(from + c * plane, shape, row[2], top + i, left + 1), fx & 255);
                    value = rounded(between(rows[0], rows[1], fy & 255));
                }
                to[c * plane] = static_cast<std::uint8_t>(value);
            }
        }
    }
    const int end = warped ? moves_and_warp : moves;
    if (numbers > end) paint_over(row + end, shape, picture);
}

}  // namespace lenet
#endif
