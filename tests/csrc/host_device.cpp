// The CUDA kernels on host threads behind a C function, so that Python can put them in the place of
// a device: what tuiprobe.stats does around the kernels is then tested with real results.
#include "host_update.hpp"

using namespace tuiprobe;

extern "C" void host_update(int64_t channels, int moments, int largest, int smallest, int samples,
                            const void* data, int dtype, const int64_t* shape,
                            const int64_t* strides, const int64_t* ids, void* state,
                            void* scratch) {
  const Options wanted{channels, moments != 0, largest, smallest, samples != 0};
  const View x{data,       static_cast<DType>(dtype),
               shape[0],   shape[1],
               shape[2],   shape[3],
               strides[0], strides[1],
               strides[2], strides[3]};
  const cuda::Seed seed;
  cuda::HostLauncher launcher{seed};
  cuda::run_update(launcher, wanted, x, ids, state, scratch);
}
