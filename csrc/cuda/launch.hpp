// What launches the kernels of each file: enqueues on `stream`, neither waits nor allocates.
#pragma once

#include <cuda_runtime.h>

#include "moments_kernels.hpp"
#include "plan.hpp"

namespace tuiprobe::cuda {

inline unsigned tiles(int64_t count, int64_t each) {
  return static_cast<unsigned>((count + each - 1) / each);
}

void launch_moments(const Job& job, const ChunkPlan& plan, cudaStream_t stream);
void launch_limits(const Job& job, cudaStream_t stream);
cudaError_t launch_stats(const Job& job, cudaStream_t stream);
void launch_select(const Job& job, cudaStream_t stream);
void launch_finish(const Job& job, int64_t moment_chunks, cudaStream_t stream);

// An error if the binary has no code for the current device.
cudaError_t find_code();

}  // namespace tuiprobe::cuda
