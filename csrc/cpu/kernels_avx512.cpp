#include "kernels_impl.hpp"

TUIPROBE_KERNEL_TABLE(kAvx512, "avx512")
