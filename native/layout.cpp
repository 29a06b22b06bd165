#include "layout.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

namespace lenet {

using Kind = Layer::Kind;

// That of the widest vector. By operator new, since Windows has no aligned_alloc.
static constexpr std::align_val_t alignment{64};

Buffer::Buffer(std::size_t floats) {
    const std::size_t bytes = std::max<std::size_t>(floats, 1) * sizeof(float);
    data_.reset(static_cast<float*>(::operator new(bytes, alignment)));
    std::memset(data_.get(), 0, bytes);
}

void Buffer::Free::operator()(float* data) const { ::operator delete(data, alignment); }

Place Place::append(Stride& size, int planes, const Shape& shape, int border) {
    const Stride row = shape.width + 2 * border, plane = (shape.height + 2 * border) * row;
    const Place place{.at = size + border * row + border,
                      .plane = plane,
                      .row = row,
                      .channels = shape.channels,
                      .height = shape.height,
                      .width = shape.width};
    size += planes * plane;
    return place;
}

Pooling pooling_of(const Layer& layer, const Place& in, const Place& out) {
    return {.kernel_size = layer.kernel_size,
            .stride = layer.stride,
            .padding = layer.padding,
            .in_height = in.height,
            .in_width = in.width,
            .out_height = out.height,
            .out_width = out.width,
            .in_row = in.row,
            .out_row = out.row,
            .max = layer.kind == Kind::max_pool2d,
            .share = 1.0f / static_cast<float>(layer.kernel_size * layer.kernel_size),
            .bias = 0};
}

Layout::Layout(const Description& description, int channels_a_plane, bool for_backward)
    : channels_a_plane(channels_a_plane) {
    const std::vector<Layer>& layers = description.layers;
    const int count = static_cast<int>(layers.size());

    // An elementwise layer writes over its input, which saves memory traffic, where that input is
    // not needed again. On the way back an activation needs what it took or what it put out: so it
    // may not write over its own input where the slope is computed from that, and no layer may
    // write over the output of an activation.
    const auto in_place = [&](int i) {
        if (!layers[i].is_elementwise()) return false;
        if (!for_backward) return true;
        if (layers[i].activation.slope_needs_input()) return false;
        int before = i - 1;
        while (before >= 0 && layers[before].kind == Kind::flatten) --before;
        return before < 0 || layers[before].kind != Kind::activation;
    };
    // The layer that makes the input of layer i leaves around it the border that this layer needs,
    // so that no layer ever copies its input to pad it.
    const auto place_before = [&](int i, const Shape& shape) {
        while (i < count && in_place(i)) ++i;
        const bool windows = i < count && layers[i].has_windows();
        const int border = windows ? layers[i].padding : 0;
        const Place place = Place::append(size, planes(shape.channels), shape, border);
        if (border > 0 && layers[i].kind == Kind::max_pool2d) minus_infinity.push_back(place);
        return place;
    };
    // n features are one row; where channels share vectors, a pile of planes of one position.
    const auto features = [&](int n) {
        return channels_a_plane == 1 ? Shape{1, 1, n} : Shape{n, 1, 1};
    };

    input = place_before(0, {description.channels, description.height, description.width});
    Place at = input;
    for (int i = 0; i < count; ++i) {
        const Layer& layer = layers[i];
        if (layer.kind == Kind::conv2d) {
            at =
                place_before(i + 1, {layer.out, layer.windows(at.height), layer.windows(at.width)});
        } else if (layer.is_pool()) {
            at = place_before(i + 1,
                              {at.channels, layer.windows(at.height), layer.windows(at.width)});
        } else if (layer.kind == Kind::linear || layer.kind == Kind::rbf) {
            at = place_before(i + 1, features(layer.out));
        } else if (layer.kind == Kind::flatten) {
            // (channels, height, width) without a border is one row already. Where channels share
            // vectors it is not: the dense layer's weights are packed to meet that order instead.
            const int n = at.channels * at.height * at.width;
            if (channels_a_plane == 1) at = {at.at, n, n, 1, 1, n};
        } else if (!in_place(i)) {
            at = place_before(i + 1, at.shape());
        }
        outputs.push_back(at);
    }
}

void Layout::write_borders(float* values, int lanes) const {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (const Place& place : minus_infinity) {
        const int border = place.border();
        for (int p = 0; p < planes(place.channels); ++p)
            for (int y = -border; y < place.height + border; ++y) {
                // left and right of a row of the plane; above and below it the whole row
                const bool beside = y >= 0 && y < place.height;
                const Stride left = place.offset(p, y, -border);
                const int width = beside ? border : place.width + 2 * border;
                std::fill_n(values + left * lanes, width * lanes, -infinity);
                if (beside)
                    std::fill_n(values + place.offset(p, y, place.width) * lanes, border * lanes,
                                -infinity);
            }
    }
}

}  // namespace lenet
