// Launches the kernels; plain C++, so that the bindings need no CUDA header.
#pragma once

#include "../layout.hpp"
#include "../moments.hpp"

namespace tuiprobe::cuda {

// Bytes of scratch an update of `x` needs.
int64_t scratch_bytes(const View& x);

// Enqueues on `stream` the update of state[channels] (device memory) by `x` (device memory).
// Neither synchronises nor allocates. Returns null or CUDA's message.
const char* update_moments(const View& x, Moments* state, void* scratch, void* stream);

// Null where a device can be used, else CUDA's reason.
const char* unavailable();

}  // namespace tuiprobe::cuda
