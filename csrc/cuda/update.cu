#include "launch.hpp"
#include "update.hpp"

namespace tuiprobe::cuda {
namespace {

bool moments_alone(const Wanted& w) {
  return w.moments && w.largest == 0 && w.smallest == 0 && !w.samples;
}

Job make_job(const Wanted& wanted, const View& x, const int64_t* ids, void* state) {
  Job job{};
  job.x = x;
  job.ids = ids;
  place(wanted, state, &job.state);
  job.plan = make_plan(x);
  for (int end = 0; end < 2; ++end) job.top[end] = make_top_plan(x, job.state.top[end].k);
  return job;
}

// Makes a device current for a while.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    error_ = cudaGetDevice(&before_);
    if (error_ == cudaSuccess && device != before_) error_ = cudaSetDevice(device);
    changed_ = error_ == cudaSuccess && device != before_;
  }
  ~DeviceGuard() {
    if (changed_) cudaSetDevice(before_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  cudaError_t error() const { return error_; }

 private:
  int before_ = 0;
  bool changed_ = false;
  cudaError_t error_;
};

// Parts of the scratch. Channel moments alone have kernels and chunks of their own.
int64_t place_all(const Wanted& wanted, Job& job, void* scratch) {
  if (!moments_alone(wanted)) return place_scratch(job, scratch, &job.scratch);
  Carver carver(scratch);
  job.scratch.parts = carver.take<Moments>(plan_chunks(job.x).chunks * job.x.channels);
  return carver.used();
}

}  // namespace

int64_t scratch_bytes(const Wanted& wanted, const View& x) {
  char any[16];  // only whether a part is wanted counts here, not where it lies
  Job job = make_job(wanted, x, nullptr, any);
  return place_all(wanted, job, nullptr);
}

const char* update(const Wanted& wanted, const View& x, const int64_t* ids, void* state,
                   void* scratch, void* stream, int device) {
  if (x.images == 0 || positions(x) == 0) return nullptr;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cudaGetErrorString(guard.error());
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  Job job = make_job(wanted, x, ids, state);
  place_all(wanted, job, scratch);
  cudaGetLastError();  // an earlier error of someone else is not ours
  cudaError_t error = cudaSuccess;
  int64_t moment_chunks = job.plan.chunks;
  if (moments_alone(wanted)) {
    const ChunkPlan plan = plan_chunks(x);
    moment_chunks = plan.chunks;
    launch_moments(job, plan, on);
  } else {
    const bool top = wanted.largest > 0 || wanted.smallest > 0;
    if (top) launch_limits(job, on);
    error = launch_stats(job, on);
    if (error == cudaSuccess && top) launch_select(job, on);
  }
  // What did not start left scratch unwritten: nothing of it may reach the state.
  if (error == cudaSuccess) error = cudaGetLastError();
  if (error == cudaSuccess) {
    launch_finish(job, moment_chunks, on);
    error = cudaGetLastError();
  }
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

const char* unavailable(int device) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count == 0) return "no CUDA device";
  if (error == cudaSuccess && device >= 0) {
    const DeviceGuard guard(device);
    error = guard.error();
    if (error == cudaSuccess) error = find_code();
  }
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(error);
}

}  // namespace tuiprobe::cuda
