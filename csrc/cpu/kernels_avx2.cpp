#include "kernels_impl.hpp"

TUIPROBE_KERNEL_TABLE(kAvx2, "avx2")
