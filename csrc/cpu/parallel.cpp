#include "parallel.hpp"

#include <dlfcn.h>

#include <atomic>

namespace tuiprobe::cpu {
namespace {

// GNU's entry points, which LLVM's and Intel's runtimes also export. Looked up instead of linked:
// a wheel of torch brings its own copy under its own name, and a second one in the process would
// start a second pool of threads.
using ParallelFn = void (*)(void (*)(void*), void*, unsigned, unsigned);

// Asked again while absent: the runtime may be loaded after this module.
ParallelFn runtime() {
  static std::atomic<ParallelFn> found{nullptr};
  ParallelFn parallel = found.load(std::memory_order_relaxed);
  if (parallel == nullptr) {
    parallel = reinterpret_cast<ParallelFn>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    found.store(parallel, std::memory_order_relaxed);
  }
  return parallel;
}

struct Loop {
  void (*body)(void*, int64_t, int);
  void* context;
  int64_t count;
  std::atomic<int64_t> next{0};
  std::atomic<int> workers{0};

  void work() {
    const int worker = workers.fetch_add(1);
    for (int64_t i; (i = next.fetch_add(1)) < count;) body(context, i, worker);
  }
};

void enter(void* loop) { static_cast<Loop*>(loop)->work(); }

}  // namespace

void run_parallel(int threads, int64_t count, void (*body)(void*, int64_t, int), void* context) {
  Loop loop{body, context, count};
  if (threads > count) threads = static_cast<int>(count);
  if (threads <= 1 || runtime() == nullptr) return loop.work();
  runtime()(enter, &loop, static_cast<unsigned>(threads), 0);
}

const char* parallel_runtime() {
  Dl_info info;
  if (runtime() == nullptr || !dladdr(reinterpret_cast<void*>(runtime()), &info)) return "";
  return info.dli_fname;
}

}  // namespace tuiprobe::cpu
