"""The decoder and encoder in C++ for CPUs: `src` behind a C ABI, its build, its tensors."""
