// The kernels of an update in their order. A launcher runs each over a grid: on the device by
// enqueueing it (update.cu), in the tests on host threads.
//
// A launcher has `template <class K> int run(const Grid&, const K::Argument&)`, which calls
// K::run(ctx, argument) for all threads of the grid and returns 0 or an error.
#pragma once

#include "columns.hpp"
#include "finish.hpp"
#include "rows_kernel.hpp"
#include "select.hpp"

namespace tuiprobe::cuda {

struct Grid {
  int64_t x;
  int64_t y;
  int warps;
  int64_t shared_bytes;
};

static inline int64_t tiles(int64_t count, int64_t each) { return (count + each - 1) / each; }

template <class T, int kColumns, int kRow, class Launcher>
int run_passes(Launcher& launcher, const Job& job) {
  int error = 0;
  if (job.scratch.parts != nullptr || job.wants_top()) {
    error = launcher.template run<ColumnsKernel<T, kColumns>>(
        {tiles(job.x.channels, kLanes * kColumns), job.column_blocks(), kColumnWarps,
         kColumnsSharedBytes},
        job);
  }
  if (error != 0 || job.scratch.shares == nullptr) return error;
  return launcher.template run<RowsKernel<T, kRow>>(
      {job.rows.units, 1, job.row_warps, row_shared_bytes(job)}, job);
}

template <class T, class Launcher>
int run_passes(Launcher& launcher, const Job& job) {
  return aligned(job.x) ? run_passes<T, kColumnVector, 16 / sizeof(T)>(launcher, job)
                        : run_passes<T, 1, 1>(launcher, job);
}

// What did not start leaves scratch unwritten, so nothing that follows may run.
template <class Launcher>
int run_steps(Launcher& launcher, const Job& job) {
  int error = job.x.dtype == DType::f32   ? run_passes<float>(launcher, job)
              : job.x.dtype == DType::f16 ? run_passes<Half>(launcher, job)
                                          : run_passes<BFloat16>(launcher, job);
  const int64_t channels = job.x.channels;
  if (error == 0 && job.scratch.shares != nullptr && job.many_rows()) {
    constexpr int kWarps = ImagesKernel::kWarps;
    error = launcher.template run<ImagesKernel>({tiles(job.x.images, kWarps), 1, kWarps, 0}, job);
  }
  if (error == 0 && job.wants_top()) {
    const int warps = select_warps(job);
    error = launcher.template run<SelectKernel>(
        {tiles(channels, warps), 2, warps, select_shared_bytes(job)}, job);
  }
  if (error != 0) return error;
  return launcher.template run<FinishKernel>(
      {tiles(channels, kLanes), 1, kFinishWarps, kFinishSharedBytes}, job);
}

template <class T, class Launcher>
int run_pack(Launcher& launcher, const View& x, void* to) {
  View from = x;
  if (positions(x) == 1) {  // one image of many positions is copied in whole tiles
    from.images = from.height = 1;
    from.width = x.images;
    from.column_stride = x.image_stride;
  }
  const int64_t here = tiles(positions(from), kPackTile) * tiles(from.channels, kPackTile);
  return launcher.template run<PackKernel<T>>(
      {here, from.images, PackKernel<T>::kWarps, kPackSharedBytes}, {from, static_cast<T*>(to)});
}

// Calls visit(rows, ids, from) for the whole batch, or for slabs of it where the kernels cannot
// read it in place; `from` is then what is to be packed into rows, else null.
template <class Visit>
int by_slabs(const View& x, const int64_t* ids, void* packed, Visit visit) {
  if (regular(x)) return visit(flat(x), ids, nullptr);
  const int64_t step = images_of_slab(x);
  int error = 0;
  for (int64_t first = 0; first < x.images && error == 0; first += step) {
    View from = x;
    from.data = row_address(x, first, 0);
    from.images = first + step < x.images ? step : x.images - first;
    error = visit(packed_view(from, packed), ids == nullptr ? nullptr : ids + first, &from);
  }
  return error;
}

static inline Job place_job(const Wanted& wanted, const View& x, const int64_t* ids, void* state) {
  State placed;
  place(wanted, state, &placed);
  return make_job(x, ids, placed);
}

// Bytes of scratch that an update by `x` needs.
static inline int64_t scratch_bytes(const Wanted& wanted, const View& x) {
  if (x.images == 0 || positions(x) == 0) return 0;
  char any[16];  // only whether a part is wanted counts here, not where it lies
  int64_t most = 0;
  by_slabs(x, nullptr, any, [&](const View& rows, const int64_t*, const View*) {
    Job job = place_job(wanted, rows, nullptr, any);
    const int64_t bytes = place_scratch(job, nullptr, &job.scratch);
    most = bytes > most ? bytes : most;
    return 0;
  });
  return packed_bytes(x) + most;
}

// The whole update. `state` and `scratch` are as `place` and `scratch_bytes` say.
template <class Launcher>
int run_update(Launcher& launcher, const Wanted& wanted, const View& x, const int64_t* ids,
               void* state, void* scratch) {
  return by_slabs(x, ids, scratch, [&](const View& rows, const int64_t* its_ids, const View* from) {
    int error = 0;
    if (from != nullptr) {
      error = item_size(x.dtype) == 4 ? run_pack<float>(launcher, *from, scratch)
                                      : run_pack<Half>(launcher, *from, scratch);
    }
    if (error != 0) return error;
    Job job = place_job(wanted, rows, its_ids, state);
    place_scratch(job, static_cast<char*>(scratch) + packed_bytes(x), &job.scratch);
    return run_steps(launcher, job);
  });
}

}  // namespace tuiprobe::cuda
