// Parallel loops on the OpenMP runtime that torch has already loaded.
#pragma once

#include <cstdint>
#include <type_traits>

namespace tuiprobe::cpu {

// Calls body(context, index, worker) for every index in [0, count), each exactly once, on at most
// `threads` workers numbered from 0. The body must not throw.
void run_parallel(int threads, int64_t count, void (*body)(void*, int64_t, int), void* context);

template <class Body>
void parallel_for(int threads, int64_t count, Body&& body) {
  run_parallel(
      threads, count,
      [](void* context, int64_t index, int worker) {
        (*static_cast<std::remove_reference_t<Body>*>(context))(index, worker);
      },
      &body);
}

// File of the OpenMP runtime in use, or an empty string where loops run on one thread.
const char* parallel_runtime();

}  // namespace tuiprobe::cpu
