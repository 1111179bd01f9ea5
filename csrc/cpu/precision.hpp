// Average precision of many directions, in parallel over them.
#pragma once

#include "../average_precision.hpp"

namespace tuiprobe::cpu {

struct Scores {
  const void* data;
  DType dtype;
  int64_t images;
  int64_t directions;
  int64_t image_stride;  // in elements
  int64_t direction_stride;
};

// out[d, c], the larger of both signs if asked for. Returns the first direction with a NaN, or -1.
int64_t average_precision(const Scores& scores, const Labels& labels, const double* positives,
                          const double* false_weight, bool both_signs, int threads, double* out);

}  // namespace tuiprobe::cpu
