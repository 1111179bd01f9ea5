// One pass over the rows of a block, in groups of 16 for the kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "aligned.hpp"
#include "kernels.hpp"
#include "plan.hpp"

namespace tuiprobe::cpu {

// d = x * scale + bias = (x - shift) * scale, by channel; one scale for all rows.
struct Scaling {
  Floats shift, scale, bias;
  float row_scale = 1;

  explicit Scaling(int64_t channels) : shift(channels), scale(channels, 1.0f), bias(channels) {}
};

// Of one block.
struct BlockPass {
  const View& x;  // its rows
  Place first;    // where they begin in the batch
  const State& state;
  const Kernels& kernels;
  const Scaling& scaling;
  const int64_t* ids;
  const Images& images;

  // Of an image of the block.
  int64_t id(int64_t image) const {
    return ids ? ids[first.image + image] : state.images + first.image + image;
  }

  // Adds the rows to `sums`.
  void run(Worker& worker, BlockSums& sums) const;

 private:
  MomentArrays arrays(Worker& worker, BlockSums& sums, int64_t from_channel) const;
  void flush_moments(Worker& worker, BlockSums& sums, int64_t from_channel, int64_t channels) const;
  template <class ImageSums>
  void by_groups(Worker& worker, BlockSums& sums) const;
  void by_channels(Worker& worker, BlockSums& sums) const;
};

}  // namespace tuiprobe::cpu
