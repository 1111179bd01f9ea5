// A strided view of activations: images, rows and columns of positions, channels.
#pragma once

#include "dtype.hpp"

namespace tuiprobe {

// Strides in elements, of any sign. (N, C) is images N, height 1, width 1; tokens (B, T, C) are
// images B, height 1, width T.
struct View {
  const void* data;
  DType dtype;
  int64_t images;
  int64_t height;
  int64_t width;
  int64_t channels;
  int64_t image_stride;
  int64_t row_stride;
  int64_t column_stride;
  int64_t channel_stride;
};

TP_HD static inline int64_t positions(const View& v) { return v.height * v.width; }

// Address of channel 0 of one position of one image.
TP_HD static inline const void* row_address(const View& v, int64_t image, int64_t position) {
  const int64_t offset = image * v.image_stride + position / v.width * v.row_stride +
                         position % v.width * v.column_stride;
  return static_cast<const char*>(v.data) + offset * item_size(v.dtype);
}

}  // namespace tuiprobe
