// Groups of rows, and their way from device memory to shared memory.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

// Neighbouring rows: positions of one image, or images of one position.
struct Group {
  int64_t image;
  int64_t position;
  int rows;

  TP_HD static Group at(const Job& job, int64_t image, int64_t position, int64_t last_image) {
    const int64_t per_image = positions(job.x);
    const int64_t left = per_image == 1 ? last_image - image : per_image - position;
    return {image, position, static_cast<int>(left < job.plan.group ? left : job.plan.group)};
  }

  // The one after it; without rows at the end.
  TP_HD Group next(const Job& job, int64_t last_image) const {
    const int64_t per_image = positions(job.x);
    int64_t i = image, p = position + rows;
    if (per_image == 1) {
      i += rows;
      p = 0;
    } else if (p == per_image) {
      ++i;
      p = 0;
    }
    if (i >= last_image) return {i, 0, 0};
    return at(job, i, p, last_image);
  }

  TP_HD bool ends_image(const Job& job) const { return position + rows == positions(job.x); }
  TP_HD int64_t image_of(const Job& job, int row) const {
    return positions(job.x) == 1 ? image + row : image;
  }
  TP_HD int32_t position_of(const Job& job, int row) const {
    return positions(job.x) == 1 ? 0 : static_cast<int32_t>(position + row);
  }

  template <class T>
  TP_HD const T* row(const Job& job, int r) const {
    return static_cast<const T*>(row_address(job.x, image_of(job, r), position_of(job, r)));
  }
};

// Whether every row starts on 16 bytes and is a whole number of vectors.
template <class T>
TP_HD bool vectorised(const View& x) {
  constexpr int64_t kVector = 16 / sizeof(T);
  return x.channel_stride == 1 && x.channels % kVector == 0 &&
         reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.image_stride % kVector == 0 &&
         x.row_stride % kVector == 0 && x.column_stride % kVector == 0;
}

// Copies a group into `tile`. It is there after the commit that follows and a barrier.
template <class T, class Ctx>
TP_HD void stage(Ctx& ctx, const Job& job, const Group& g, char* tile) {
  constexpr int kVector = 16 / sizeof(T);
  const int64_t channels = job.x.channels, pitch = job.plan.pitch;
  if (vectorised<T>(job.x)) {
    for (int r = ctx.depth(); r < g.rows; r += kDepth) {
      const T* from = g.row<T>(job, r);
      T* to = reinterpret_cast<T*>(tile + r * pitch);
      for (int64_t c = ctx.lane() * kVector; c < channels; c += kLanes * kVector) {
        ctx.copy_async(to + c, from + c);
      }
    }
  } else if (job.x.channel_stride == 1) {
    for (int r = ctx.depth(); r < g.rows; r += kDepth) {
      const T* from = g.row<T>(job, r);
      T* to = reinterpret_cast<T*>(tile + r * pitch);
      for (int64_t c = ctx.lane(); c < channels; c += kLanes) to[c] = from[c];
    }
  } else {
    // Neighbouring threads take neighbouring rows, which then lie next to each other.
    const int r = thread_of(ctx) % job.plan.group;
    if (r >= g.rows) return;
    const T* from = g.row<T>(job, r);
    T* to = reinterpret_cast<T*>(tile + r * pitch);
    for (int64_t c = thread_of(ctx) / job.plan.group; c < channels;
         c += kThreads / job.plan.group) {
      to[c] = from[c * job.x.channel_stride];
    }
  }
}

// The values of a group, from shared memory or in place.
template <class T, bool kStaged>
struct Values {
  const Job& job;
  const Group& group;
  const char* tile;

  TP_HD const T* row(int r) const {
    if (kStaged) return reinterpret_cast<const T*>(tile + r * job.plan.pitch);
    return group.row<T>(job, r);
  }
  TP_HD int64_t stride() const { return kStaged ? 1 : job.x.channel_stride; }
  TP_HD float at(int r, int64_t c) const { return to_float(row(r)[c * stride()]); }
};

}  // namespace tuiprobe::cuda
