"""The native core of tuiprobe with CUDA kernels; `tuiprobe.stats` finds it by name."""
