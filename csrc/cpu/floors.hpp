// A head start for the top k: limits guessed from a sample of rows, so that a fresh list does not
// begin by taking in everything.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cpu {

Floors guess_floors(const View& x, const State& state, const Kernels& kernels, int threads);

// Offers every value of the channels whose list did not fill up above its floor, and so restores
// exactness where the guess was too high. `top` already holds the update's candidates.
void repair(const View& x, const std::vector<float>& floors, const int64_t* ids, int64_t first_id,
            int threads, TopK& top);

}  // namespace tuiprobe::cpu
