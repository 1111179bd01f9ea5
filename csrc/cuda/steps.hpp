// The kernels of an update in their order. A launcher runs each over a grid: on the device by
// enqueueing it (update.cu), in the tests on host threads.
//
// A launcher has `template <class K> int run(const Grid&, const Job&)`, which calls
// K::run(ctx, job) for all threads of the grid and returns 0 or an error.
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

template <class T, int kColumns, int kRow, class Launcher>
int run_passes(Launcher& launcher, const Job& job) {
  int error = 0;
  if (job.options.moments || job.wants_top()) {
    error = launcher.template run<ColumnsKernel<T, kColumns>>(
        {tiles(job.x.channels, kLanes * kColumns), job.columns.units, kColumnWarps,
         static_cast<int64_t>(sizeof(ColumnSums))},
        job);
  }
  if (error != 0 || !job.options.samples) return error;
  return launcher.template run<RowsKernel<T, kRow>>(
      {job.rows.units, 1, job.row_warps, row_shared_bytes(job)}, job);
}

// By vectors of 16 bytes where rows consist of them.
template <class T, class Launcher>
int run_passes(Launcher& launcher, const Job& job) {
  constexpr int kVector = 16 / sizeof(T);
  return job.x.channels % kVector == 0 ? run_passes<T, kColumnVector, kVector>(launcher, job)
                                       : run_passes<T, 1, 1>(launcher, job);
}

// The whole update; state and scratch are as `place` and `make_job` say. What did not start leaves
// scratch unwritten, so nothing that follows may run.
template <class Launcher>
int run_update(Launcher& launcher, const Options& options, const View& x, const int64_t* ids,
               void* state, void* scratch) {
  int64_t bytes;
  const Job job = make_job(options, x, ids, state, scratch, &bytes);
  int error = x.dtype == DType::f32   ? run_passes<float>(launcher, job)
              : x.dtype == DType::f16 ? run_passes<Half>(launcher, job)
                                      : run_passes<BFloat16>(launcher, job);
  if (error == 0 && options.samples && job.many_rows) {
    constexpr int kWarps = ImagesKernel::kWarps;
    error = launcher.template run<ImagesKernel>({tiles(job.images(), kWarps), 1, kWarps, 0}, job);
  }
  if (error == 0 && job.wants_top()) {
    constexpr int kWarps = SelectKernel::kWarps;
    error = launcher.template run<SelectKernel>({tiles(x.channels, kWarps), 2, kWarps, 0}, job);
  }
  if (error != 0) return error;
  return launcher.template run<FinishKernel>(
      {tiles(x.channels, kLanes), 1, FinishKernel::kWarps, FinishKernel::kSharedBytes}, job);
}

}  // namespace tuiprobe::cuda
