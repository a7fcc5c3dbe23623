// AVX-512 with VNNI.
#if defined(__x86_64__)
#include "backend_headers.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")
#endif

#define SEQWAY_NAMESPACE avx512
#define SEQWAY_AVX512
#include "backend.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace seqway {
const Backend avx512_backend = {"avx512", avx512::encode, avx512::read, avx512::step,
                                avx512::logits_of, avx512::multiply_rows};
}
#endif
