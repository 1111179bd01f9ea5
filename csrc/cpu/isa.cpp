#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace tuiprobe::cpu {
namespace {

const Kernels* best() {
#if defined(TUIPROBE_X86)
  if (const Kernels* k = find_kernels("avx512")) return k;
  if (const Kernels* k = find_kernels("avx2")) return k;
#endif
  return &kGeneric;
}

}  // namespace

const Kernels* find_kernels(const char* name) {
  if (std::strcmp(name, "generic") == 0) return &kGeneric;
#if defined(TUIPROBE_X86)
  if (std::strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") &&
      __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    return &kAvx2;
  }
  if (std::strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    return &kAvx512;
  }
#endif
  return nullptr;
}

const Kernels* kernels(const char** error) {
  const char* wanted = std::getenv("TUIPROBE_ISA");
  if (wanted == nullptr || *wanted == '\0') {
    static const Kernels* const chosen = best();
    return chosen;
  }
  const Kernels* found = find_kernels(wanted);
  if (found == nullptr) {
    *error =
        "TUIPROBE_ISA names an instruction set this machine or build lacks; "
        "use generic, avx2 or avx512, or unset it";
  }
  return found;
}

}  // namespace tuiprobe::cpu
