#include "kernels_impl.hpp"

TUIPROBE_KERNEL_TABLE(kGeneric, "generic")
