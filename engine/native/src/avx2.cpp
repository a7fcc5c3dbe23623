// AVX2 with FMA and F16C.
#if defined(__x86_64__)
#include "backend_headers.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define SEQWAY_NAMESPACE avx2
#define SEQWAY_AVX2
#include "backend.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace seqway {
const Backend avx2_backend = {"avx2", avx2::encode, avx2::read, avx2::step,
                              avx2::logits_of, avx2::multiply_rows};
}
#endif
