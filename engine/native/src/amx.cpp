// AVX-512 with VNNI, and AMX for INT8 products of several rows.
#if defined(__x86_64__)
#include "backend_headers.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c,amx-tile,amx-int8"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c,amx-tile,amx-int8")
#endif

#define SEQWAY_NAMESPACE amx
#define SEQWAY_AVX512
#define SEQWAY_AMX
#include "backend.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace seqway {
const Backend amx_backend = {"amx", amx::encode, amx::read, amx::step,
                             amx::logits_of, amx::multiply_rows};
}
#endif
