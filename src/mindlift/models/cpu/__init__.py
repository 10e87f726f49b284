"""Kernels for CPUs that MindSpore lacks: kernels.cpp, and the cells and gradients around them."""
