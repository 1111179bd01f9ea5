// One update of an accumulator in device memory; plain C++, so that the bindings need no CUDA
// header.
#pragma once

#include "../layout.hpp"
#include "state.hpp"

namespace tuiprobe::cuda {

// Enqueues on `stream` the update by `x` of the state in `state`; all pointers are memory of
// `device`, whatever device is current. `ids` holds one id an image, or is null for running
// numbers. Neither waits nor allocates. Returns null or CUDA's message.
const char* update(const Options& options, const View& x, const int64_t* ids, void* state,
                   void* scratch, void* stream, int device);

// Null if kernels can run on `device` (on any device if it is negative), else CUDA's reason, for
// instance that this binary has no code for the device.
const char* unavailable(int device);

}  // namespace tuiprobe::cuda
