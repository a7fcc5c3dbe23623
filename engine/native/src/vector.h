// Sixteen floats that are computed with together.
//
// Included once for each instruction set, in its namespace. All of them do the same operations in
// the same order, so that an answer does not depend on the processor: fused multiply-add where it
// is written, nowhere else, and sums as a tree of halves.

constexpr float kLargestHalf = 65504.0F;

#if defined(SEQWAY_AVX512)

struct V16 {
  __m512 v;
};

inline V16 splat(float x) { return {_mm512_set1_ps(x)}; }
inline V16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, V16 a) { _mm512_storeu_ps(p, a.v); }
inline V16 operator+(V16 a, V16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline V16 operator-(V16 a, V16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline V16 operator*(V16 a, V16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline V16 operator/(V16 a, V16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline V16 fma(V16 a, V16 b, V16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// The larger and the smaller; b where either is no number.
inline V16 larger(V16 a, V16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline V16 smaller(V16 a, V16 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline V16 rounded(V16 a) { return {_mm512_roundscale_ps(a.v, 0x08)}; }
inline V16 absolute(V16 a) { return {_mm512_abs_ps(a.v)}; }
// x where a < b, else y.
inline V16 where_less(V16 a, V16 b, V16 x, V16 y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
// a 2^n for whole n from -126 to 127.
inline V16 scaled(V16 a, V16 n) { return {_mm512_scalef_ps(a.v, n.v)}; }
// The floats of a - b.
inline V16 difference(const int32_t* a, const int32_t* b) {
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(a), _mm512_loadu_si512(b)))};
}
// Bounds to [-127, 127], -127 for what is no number, rounds, and stores with 128 added. It bounds
// first: what is too large for an integer would become the least one.
inline void store_bytes(uint8_t* p, V16 a) {
  const V16 bounded = smaller(larger(a, splat(-127.0F)), splat(127.0F));
  const __m512i shifted = _mm512_add_epi32(_mm512_cvtps_epi32(bounded.v), _mm512_set1_epi32(128));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(shifted));
}
inline V16 load(const Half* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void store(Half* p, V16 a) {
  const __m512 most = _mm512_set1_ps(kLargestHalf);
  const __m512 bounded =
      _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), most), _mm512_min_ps(most, a.v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(bounded, 0x08));
}
inline V16 load(const Brain* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
inline float sum(V16 a) {
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float largest(V16 a) { return _mm512_reduce_max_ps(a.v); }
// The sums of 16 vectors.
inline V16 sums(const V16* a) {
  __m512 eight[8], four[4], two[2];
  for (int i = 0; i < 8; ++i) {
    const __m512 x = a[2 * i].v, y = a[2 * i + 1].v;
    eight[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xEE));
  }
  for (int i = 0; i < 4; ++i) {
    const __m512 x = eight[2 * i], y = eight[2 * i + 1];
    four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xDD));
  }
  for (int i = 0; i < 2; ++i) {
    const __m512 x = four[2 * i], y = four[2 * i + 1];
    two[i] = _mm512_add_ps(_mm512_shuffle_ps(x, y, 0x44), _mm512_shuffle_ps(x, y, 0xEE));
  }
  const __m512 one = _mm512_add_ps(_mm512_shuffle_ps(two[0], two[1], 0x88),
                                   _mm512_shuffle_ps(two[0], two[1], 0xDD));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return {_mm512_permutexvar_ps(order, one)};
}

// Puts the columns of 16 vectors in their place.
inline void transpose(V16* a) {
  __m512 x[16], y[16];
  for (int i = 0; i < 16; i += 2) {
    x[i] = _mm512_unpacklo_ps(a[i].v, a[i + 1].v);
    x[i + 1] = _mm512_unpackhi_ps(a[i].v, a[i + 1].v);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; ++j) {
      const __m512d low = _mm512_castps_pd(x[i + j]), high = _mm512_castps_pd(x[i + j + 2]);
      y[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      y[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  }
  // y[4 r + c] has, of rows 4 r to 4 r + 3, the columns c, c + 4, c + 8 and c + 12.
  for (int c = 0; c < 4; ++c) {
    const __m512 even_low = _mm512_shuffle_f32x4(y[c], y[c + 4], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(y[c], y[c + 4], 0xDD);
    const __m512 even_high = _mm512_shuffle_f32x4(y[c + 8], y[c + 12], 0x88);
    const __m512 odd_high = _mm512_shuffle_f32x4(y[c + 8], y[c + 12], 0xDD);
    a[c].v = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    a[c + 4].v = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    a[c + 8].v = _mm512_shuffle_f32x4(even_low, even_high, 0xDD);
    a[c + 12].v = _mm512_shuffle_f32x4(odd_low, odd_high, 0xDD);
  }
}

#elif defined(SEQWAY_AVX2)

struct V16 {
  __m256 lo, hi;
};

inline V16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline V16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, V16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline V16 operator+(V16 a, V16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline V16 operator-(V16 a, V16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline V16 operator*(V16 a, V16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline V16 operator/(V16 a, V16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline V16 fma(V16 a, V16 b, V16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline V16 larger(V16 a, V16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline V16 smaller(V16 a, V16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
inline V16 rounded(V16 a) { return {_mm256_round_ps(a.lo, 0x08), _mm256_round_ps(a.hi, 0x08)}; }
inline V16 absolute(V16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline V16 where_less(V16 a, V16 b, V16 x, V16 y) {
  return {_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
inline __m256 power_of_two(__m256 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
inline V16 scaled(V16 a, V16 n) {
  return {_mm256_mul_ps(a.lo, power_of_two(n.lo)), _mm256_mul_ps(a.hi, power_of_two(n.hi))};
}
inline __m256i loaded(const int32_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline V16 difference(const int32_t* a, const int32_t* b) {
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(loaded(a), loaded(b))),
          _mm256_cvtepi32_ps(_mm256_sub_epi32(loaded(a + 8), loaded(b + 8)))};
}
inline __m256i shifted_bytes(__m256 a) {
  return _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(128));
}
inline void store_bytes(uint8_t* p, V16 a) {
  const V16 bounded = smaller(larger(a, splat(-127.0F)), splat(127.0F));
  __m256i words = _mm256_packus_epi32(shifted_bytes(bounded.lo), shifted_bytes(bounded.hi));
  words = _mm256_permute4x64_epi64(words, 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
inline V16 load(const Half* p) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
inline __m128i as_halves(__m256 a) {
  const __m256 most = _mm256_set1_ps(kLargestHalf);
  const __m256 bounded =
      _mm256_max_ps(_mm256_sub_ps(_mm256_setzero_ps(), most), _mm256_min_ps(most, a));
  return _mm256_cvtps_ph(bounded, 0x08);
}
inline void store(Half* p, V16 a) {
  __m128i* halves = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(halves, as_halves(a.lo));
  _mm_storeu_si128(halves + 1, as_halves(a.hi));
}
inline __m256 from_brains(const __m128i* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}
inline V16 load(const Brain* p) {
  const __m128i* brains = reinterpret_cast<const __m128i*>(p);
  return {from_brains(brains), from_brains(brains + 1)};
}
inline float sum(V16 a) {
  const __m256 half = _mm256_add_ps(a.lo, a.hi);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float largest(V16 a) {
  const __m256 half = _mm256_max_ps(a.lo, a.hi);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
inline V16 sums(const V16* a) {
  alignas(32) float all[16];
  for (int i = 0; i < 16; ++i) all[i] = sum(a[i]);
  return load(all);
}

inline void transpose(__m256* const* a) {
  __m256 x[8], y[8];
  for (int i = 0; i < 8; i += 2) {
    x[i] = _mm256_unpacklo_ps(*a[i], *a[i + 1]);
    x[i + 1] = _mm256_unpackhi_ps(*a[i], *a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; ++j) {
      y[i + 2 * j] = _mm256_shuffle_ps(x[i + j], x[i + j + 2], 0x44);
      y[i + 2 * j + 1] = _mm256_shuffle_ps(x[i + j], x[i + j + 2], 0xEE);
    }
  }
  for (int i = 0; i < 4; ++i) {
    *a[i] = _mm256_permute2f128_ps(y[i], y[i + 4], 0x20);
    *a[i + 4] = _mm256_permute2f128_ps(y[i], y[i + 4], 0x31);
  }
}
inline void transpose(V16* a) {
  for (int i = 0; i < 8; ++i) std::swap(a[i].hi, a[i + 8].lo);
  for (int first = 0; first < 16; first += 8) {
    __m256 *low[8], *high[8];
    for (int i = 0; i < 8; ++i) {
      low[i] = &a[first + i].lo;
      high[i] = &a[first + i].hi;
    }
    transpose(low);
    transpose(high);
  }
}

#else

struct V16 {
  float v[16];
};

#define SEQWAY_EACH(expression)                   \
  V16 result;                                     \
  for (int i = 0; i < 16; ++i) result.v[i] = (expression); \
  return result

inline V16 splat(float x) { SEQWAY_EACH(x); }
inline V16 load(const float* p) { SEQWAY_EACH(p[i]); }
inline void store(float* p, V16 a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
inline V16 operator+(V16 a, V16 b) { SEQWAY_EACH(a.v[i] + b.v[i]); }
inline V16 operator-(V16 a, V16 b) { SEQWAY_EACH(a.v[i] - b.v[i]); }
inline V16 operator*(V16 a, V16 b) { SEQWAY_EACH(a.v[i] * b.v[i]); }
inline V16 operator/(V16 a, V16 b) { SEQWAY_EACH(a.v[i] / b.v[i]); }
inline V16 fma(V16 a, V16 b, V16 c) { SEQWAY_EACH(std::fmaf(a.v[i], b.v[i], c.v[i])); }
inline V16 larger(V16 a, V16 b) { SEQWAY_EACH(a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
inline V16 smaller(V16 a, V16 b) { SEQWAY_EACH(a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
inline V16 rounded(V16 a) { SEQWAY_EACH(std::nearbyintf(a.v[i])); }
inline V16 absolute(V16 a) { SEQWAY_EACH(std::fabs(a.v[i])); }
inline V16 where_less(V16 a, V16 b, V16 x, V16 y) {
  SEQWAY_EACH(a.v[i] < b.v[i] ? x.v[i] : y.v[i]);
}
inline V16 scaled(V16 a, V16 n) { SEQWAY_EACH(std::ldexp(a.v[i], static_cast<int>(n.v[i]))); }
inline V16 difference(const int32_t* a, const int32_t* b) {
  SEQWAY_EACH(static_cast<float>(a[i] - b[i]));
}
inline void store_bytes(uint8_t* p, V16 a) {
  const V16 whole = rounded(smaller(larger(a, splat(-127.0F)), splat(127.0F)));
  for (int i = 0; i < 16; ++i) p[i] = static_cast<uint8_t>(static_cast<int>(whole.v[i]) + 128);
}
inline float as_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float from_half(uint32_t half) {
  const uint32_t sign = (half & 0x8000U) << 16, size = half & 0x7FFFU;
  if (size >= 0x7C00U) return as_float(sign | 0x7F800000U | (size & 0x3FFU) << 13);
  if (size >= 0x400U) return as_float(sign | ((size << 13) + 0x38000000U));
  const float small = static_cast<float>(size) * 0x1p-24F;
  return as_float(sign | bits_of(small));
}
// To the nearest, and to even where two are; |x| is at most kLargestHalf, or x is no number.
inline uint16_t to_half(float x) {
  const uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000U, size = bits & 0x7FFFFFFFU;
  if (size > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U | (size >> 13 & 0x3FFU));
  if (size < 0x38800000U) {
    // Adding a half leaves what a number below 2^-14 is rounded to in the last bits.
    return static_cast<uint16_t>(sign | (bits_of(as_float(size) + 0.5F) - 0x3F000000U));
  }
  return static_cast<uint16_t>(sign | ((size + 0xC8000FFFU + (size >> 13 & 1U)) >> 13));
}
inline V16 load(const Half* p) { SEQWAY_EACH(from_half(p[i].bits)); }
inline void store(Half* p, V16 a) {
  const V16 bounded = larger(splat(-kLargestHalf), smaller(splat(kLargestHalf), a));
  for (int i = 0; i < 16; ++i) p[i].bits = to_half(bounded.v[i]);
}
inline V16 load(const Brain* p) { SEQWAY_EACH(as_float(static_cast<uint32_t>(p[i].bits) << 16)); }
inline float sum(V16 a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] + a.v[i + half];
  }
  return a.v[0];
}
inline float largest(V16 a) {
  float best = a.v[0];
  for (int i = 1; i < 16; ++i) best = best > a.v[i] ? best : a.v[i];
  return best;
}
inline V16 sums(const V16* a) { SEQWAY_EACH(sum(a[i])); }
inline void transpose(V16* a) {
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < i; ++j) std::swap(a[i].v[j], a[j].v[i]);
  }
}

#undef SEQWAY_EACH

#endif

// Gives `use` the pointer to numbers, of the type that they have.
template <typename Use>
inline void with_type(const Numbers& numbers, Use use) {
  if (numbers.halves != nullptr) {
    use(numbers.halves);
  } else if (numbers.brains != nullptr) {
    use(numbers.brains);
  } else {
    use(numbers.floats);
  }
}
