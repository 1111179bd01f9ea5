// A whole update on host threads: the steps of csrc/cuda/steps.hpp, launched one after the other.
#pragma once

#include "../../csrc/cuda/steps.hpp"
#include "host_context.hpp"

namespace tuiprobe::cuda {

struct HostLauncher {
  const Seed& seed;

  template <class K>
  int run(const Grid& grid, const Job& job) {
    run_grid(grid.warps, grid.x, grid.y, grid.shared_bytes, seed,
             [&](HostContext& ctx) { K::run(ctx, job); });
    return 0;
  }
};

struct alignas(16) Unit16 {
  char bytes[16];
};

// Scratch memory full of garbage.
inline std::vector<Unit16> garbage(int64_t bytes) {
  std::vector<Unit16> out(static_cast<size_t>(bytes / 16 + 1));
  std::memset(static_cast<void*>(out.data()), 0xcd, out.size() * 16);
  return out;
}

inline void update_on_host(const Options& wanted, const View& x, const int64_t* ids, void* state,
                           const Seed& seed) {
  int64_t bytes;
  make_job(wanted, x, nullptr, nullptr, nullptr, &bytes);
  std::vector<Unit16> scratch = garbage(bytes);
  HostLauncher launcher{seed};
  run_update(launcher, wanted, x, ids, state, scratch.data());
}

}  // namespace tuiprobe::cuda
