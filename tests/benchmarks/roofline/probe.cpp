// What one core does at most: INT8 products in registers, and bytes read from a buffer.
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

// As many as hide the latency of a product.
constexpr int kAccumulators = 12;

int64_t generic_products(int64_t) { return 0; }

#if defined(__x86_64__)

__attribute__((target("amx-tile,amx-int8"))) int64_t amx_products(int64_t rounds) {
  struct alignas(64) Config {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  for (int tile = 0; tile < 8; ++tile) {
    config.bytes[tile] = 64;
    config.rows[tile] = 16;
  }
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
  return rounds * 4 * 16 * 16 * 64;
}

__attribute__((target("avx512f,avx512vnni"))) int64_t avx512_products(int64_t rounds) {
  __m512i sums[kAccumulators];
  for (auto& sum : sums) sum = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (int64_t i = 0; i < rounds; ++i) {
    for (auto& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  __m512i all = sums[0];
  for (int i = 1; i < kAccumulators; ++i) all = _mm512_add_epi32(all, sums[i]);
  volatile int kept = _mm512_reduce_add_epi32(all);
  (void)kept;
  return rounds * kAccumulators * 64;
}

// Without instructions for them: pairs to 16 bits, pairs of these to 32, and a sum.
__attribute__((target("avx2"))) int64_t avx2_products(int64_t rounds) {
  __m256i sums[kAccumulators];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(5), ones = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < rounds; ++i) {
    // Else the product, which is always the same, is computed once.
    __asm__ volatile("" : "+x"(a));
    for (auto& sum : sums) {
      __m256i pairs = _mm256_maddubs_epi16(a, b);
      __asm__ volatile("" : "+x"(pairs));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
  }
  __m256i all = sums[0];
  for (int i = 1; i < kAccumulators; ++i) all = _mm256_add_epi32(all, sums[i]);
  volatile int kept = _mm256_extract_epi32(all, 0);
  (void)kept;
  return rounds * kAccumulators * 32;
}

#elif defined(__aarch64__)

__attribute__((target("arch=armv8.2-a+dotprod"))) int64_t neon_products(int64_t rounds) {
  int32x4_t sums[kAccumulators];
  for (auto& sum : sums) sum = vdupq_n_s32(0);
  const int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(5);
  for (int64_t i = 0; i < rounds; ++i) {
    for (auto& sum : sums) {
      sum = vdotq_s32(sum, a, b);
      __asm__ volatile("" : "+w"(sum));
    }
  }
  int32x4_t all = sums[0];
  for (int i = 1; i < kAccumulators; ++i) all = vaddq_s32(all, sums[i]);
  volatile int kept = vaddvq_s32(all);
  (void)kept;
  return rounds * kAccumulators * 16;
}

#endif

// Vectors of 64 bytes, which the compiler splits where registers are smaller.
template <typename Vector>
inline __attribute__((always_inline)) uint64_t sum_of(const void* data, int64_t bytes) {
  const Vector* values = static_cast<const Vector*>(data);
  const int64_t count = bytes / static_cast<int64_t>(sizeof(Vector));
  Vector sums[4] = {};
  for (int64_t i = 0; i + 4 <= count; i += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += values[i + j];
  }
  const Vector all = sums[0] + sums[1] + sums[2] + sums[3];
  return all[0] + all[1];
}

using Words = uint64_t __attribute__((vector_size(64)));
using HalfWords = uint64_t __attribute__((vector_size(32)));
using QuarterWords = uint64_t __attribute__((vector_size(16)));

#if defined(__x86_64__)
__attribute__((target("avx512f"))) uint64_t read_avx512(const void* data, int64_t bytes) {
  return sum_of<Words>(data, bytes);
}
__attribute__((target("avx2"))) uint64_t read_avx2(const void* data, int64_t bytes) {
  return sum_of<HalfWords>(data, bytes);
}
#endif

}  // namespace

extern "C" {

// The INT8 products (a multiplication and an addition) that were made with the instructions of
// `isa`, a name of `seqway_backends`; 0 where no instructions are known for it.
int64_t probe_products(const char* isa, int64_t rounds) {
#if defined(__x86_64__)
  if (std::strcmp(isa, "amx") == 0) return amx_products(rounds);
  if (std::strcmp(isa, "avx512") == 0) return avx512_products(rounds);
  if (std::strcmp(isa, "avx2") == 0) return avx2_products(rounds);
#elif defined(__aarch64__)
  return neon_products(rounds);
#endif
  return generic_products(rounds);
}

// Reads a buffer, aligned to 64 bytes, so many times.
void probe_read(const char* isa, const void* data, int64_t bytes, int64_t times) {
  volatile uint64_t kept = 0;
  for (int64_t i = 0; i < times; ++i) {
#if defined(__x86_64__)
    if (std::strcmp(isa, "generic") != 0 && std::strcmp(isa, "avx2") != 0) {
      kept = kept + read_avx512(data, bytes);
      continue;
    }
    if (std::strcmp(isa, "avx2") == 0) {
      kept = kept + read_avx2(data, bytes);
      continue;
    }
#endif
    kept = kept + sum_of<QuarterWords>(data, bytes);
  }
}
}
