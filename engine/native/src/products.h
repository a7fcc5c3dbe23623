// Matrix products: INT8 with exact integer sums, and FP32, with weights of 32 or 16 bits. Included
// once for each instruction set.
//
// Weights are packed in groups of 16 columns, so that a group's column is a lane of a vector. A
// tile of some rows by some groups is summed over the whole depth in registers, and then finished:
// scaled, biased, activated, and stored, added or rounded for the next product.

// Where the results go: floats (stored, or added to what is there), or bytes for another product.
struct Sink {
  float* floats = nullptr;
  int stride = 0;
  bool adds = false;
  Activation activation = Activation::none;
  uint8_t* bytes = nullptr;
  int bytes_stride = 0;
  const float* inputs = nullptr;
};

constexpr int kTileFloats = 16 * 4 * kLanes;
constexpr int kPartGroups = 4;  // of a product: parts have whole tiles

constexpr int kMostAskingRows = 16;  // more of them take longer than to read the weights

// What is read next, and asked for while something else is multiplied: lines of 64 bytes of the
// groups of a part, one of each in turn. Memory gives several streams up to twice what it gives
// one, and a tile of AVX2 reads but one.
struct Ahead {
  const char* from = nullptr;  // null: nothing is asked for
  int64_t group = 0;           // in bytes
#if defined(SEQWAY_AVX2)
  // A line of each group, the one at this byte.
  void ask(int64_t byte) const {
    const char* line = from + byte;
    for (int i = 0; i < kPartGroups; ++i, line += group) _mm_prefetch(line, _MM_HINT_T1);
  }
#endif
};

// INT8 weights of some groups of columns: a group is `quads` times 4 rows of 16 columns.
struct Columns {
  const int8_t* weights = nullptr;
  const int32_t* sums = nullptr;   // as those of the product
  const uint8_t* fits = nullptr;   // see pairs.h; only AVX2 reads it
  int quads = 0;
  Ahead ahead;
  int64_t group() const { return static_cast<int64_t>(quads) * 64; }
  // Those from a group on.
  Columns from(int first) const {
    Columns rest = *this;
    rest.weights += first * group();
    rest.sums += first * kLanes;
    if (fits != nullptr) rest.fits += static_cast<int64_t>(first) * quads;
    return rest;
  }
};

#if defined(SEQWAY_AVX512)

constexpr int kTileRows = 8;

// sums + x w, of unsigned x and signed w. As an intrinsic g++ 12 copies the sums before and behind
// each: that took a quarter of the time.
inline __m512i add_products(__m512i sums, __m512i x, __m512i w) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(x), "v"(w));
  return sums;
}

template <int R, int G>
inline void tile_int8(const uint8_t* a, int stride, const Columns& columns, int32_t* out) {
  const int8_t* w = columns.weights;
  const int quads = columns.quads;
  const int64_t group = columns.group();
  __m512i acc[R][G];
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) acc[r][g] = _mm512_setzero_si512();
  }
  for (int q = 0; q < quads; ++q) {
    __m512i weights[G];
    for (int g = 0; g < G; ++g) weights[g] = _mm512_loadu_si512(w + g * group + q * 64);
    // The next tile's weights; with fewer rows memory has no time left.
    for (int g = 0; R > 4 && g < G; ++g) {
      _mm_prefetch(reinterpret_cast<const char*>(w + (G + g) * group + q * 64), _MM_HINT_T0);
    }
    for (int r = 0; r < R; ++r) {
      int32_t four;
      std::memcpy(&four, a + static_cast<int64_t>(r) * stride + q * 4, 4);
      const __m512i x = _mm512_set1_epi32(four);
      for (int g = 0; g < G; ++g) acc[r][g] = add_products(acc[r][g], x, weights[g]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) _mm512_storeu_si512(out + (r * G + g) * kLanes, acc[r][g]);
  }
}

#elif defined(SEQWAY_AVX2)

constexpr int kTileRows = 4;

// `vpmaddubsw` adds two products in 16 bits, and saturates.
inline __m256i add_products(__m256i sums, __m256i x, __m256i w) {
  return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}

// Both operands are bounded by 127 here (|x| and w with the sign of x), so that the sum of two
// products, at most 32,258, does not saturate.
inline __m256i add_signed_products(__m256i sums, __m256i x, __m256i w) {
  const __m256i shifted = _mm256_xor_si256(x, _mm256_set1_epi8(-128));
  return add_products(sums, _mm256_abs_epi8(shifted), _mm256_sign_epi8(w, shifted));
}

// Each product alone.
inline __m256i add_single_products(__m256i sums, __m256i x, __m256i w) {
  const __m256i even = _mm256_set1_epi16(0xFF);
  const __m256i evens = add_products(sums, _mm256_and_si256(even, x), w);
  return add_products(evens, _mm256_andnot_si256(even, x), w);
}

// Adds the products of four inputs of each row with 16 columns.
template <int R, __m256i (*Add)(__m256i, __m256i, __m256i)>
__attribute__((always_inline)) inline void add_quad(const uint8_t* a, int stride, const __m256i* w,
                                                    __m256i* lo, __m256i* hi) {
  const __m256i first = _mm256_loadu_si256(w), second = _mm256_loadu_si256(w + 1);
  for (int r = 0; r < R; ++r) {
    int32_t four;
    std::memcpy(&four, a + static_cast<int64_t>(r) * stride, 4);
    const __m256i x = _mm256_set1_epi32(four);
    lo[r] = Add(lo[r], x, first);
    hi[r] = Add(hi[r], x, second);
  }
}

// Calls `step` for each of `quads` lines of weights, a multiple of four, while those are asked for
// that `ahead` has from its line `first` on.
template <typename Step>
inline void each_quad(const Ahead& ahead, int first, int quads, Step step) {
  if (ahead.from == nullptr) {
    for (int q = 0; q < quads; ++q) step(q);
    return;
  }
  for (int q = 0; q < quads; q += kPartGroups) {
    ahead.ask(static_cast<int64_t>(first + q) / kPartGroups * 64);
    for (int i = 0; i < kPartGroups; ++i) step(q + i);
  }
}

template <int R, int G>
inline void tile_int8(const uint8_t* a, int stride, const Columns& columns, int32_t* out) {
  const int quads = columns.quads;
  for (int g = 0; g < G; ++g) {
    const __m256i* w = reinterpret_cast<const __m256i*>(columns.weights + g * columns.group());
    const __m256i* sums = reinterpret_cast<const __m256i*>(columns.sums + g * kLanes);
    __m256i lo[R], hi[R];
    if (columns.fits == nullptr) {
      // These sums lack what the 128 adds that is stored with inputs.
      for (int r = 0; r < R; ++r) {
        lo[r] = _mm256_loadu_si256(sums);
        hi[r] = _mm256_loadu_si256(sums + 1);
      }
      each_quad(columns.ahead, g * quads, quads, [&](int q) __attribute__((always_inline)) {
        add_quad<R, add_signed_products>(a + q * 4, stride, w + 2 * q, lo, hi);
      });
    } else {
      const uint8_t* fits = columns.fits + static_cast<int64_t>(g) * quads;
      for (int r = 0; r < R; ++r) lo[r] = hi[r] = _mm256_setzero_si256();
      each_quad(columns.ahead, g * quads, quads, [&](int q) __attribute__((always_inline)) {
        if (__builtin_expect(fits[q] != 0, 1)) {
          add_quad<R, add_products>(a + q * 4, stride, w + 2 * q, lo, hi);
        } else {
          add_quad<R, add_single_products>(a + q * 4, stride, w + 2 * q, lo, hi);
        }
      });
    }
    for (int r = 0; r < R; ++r) {
      __m256i* to = reinterpret_cast<__m256i*>(out + (r * G + g) * kLanes);
      _mm256_storeu_si256(to, lo[r]);
      _mm256_storeu_si256(to + 1, hi[r]);
    }
  }
}

#else

constexpr int kTileRows = 4;

template <int R, int G>
inline void tile_int8(const uint8_t* a, int stride, const Columns& columns, int32_t* out) {
  const int8_t* w = columns.weights;
  const int quads = columns.quads;
  const int64_t group = columns.group();
  for (int i = 0; i < R * G * kLanes; ++i) out[i] = 0;
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) {
      int32_t* sums_of = out + (r * G + g) * kLanes;
      for (int q = 0; q < quads; ++q) {
        const uint8_t* x = a + static_cast<int64_t>(r) * stride + q * 4;
        const int8_t* weights = w + g * group + q * 64;
        for (int c = 0; c < kLanes; ++c) {
          for (int k = 0; k < 4; ++k) sums_of[c] += x[k] * weights[c * 4 + k];
        }
      }
    }
  }
}

#endif

template <int R, int G, typename T>
inline void tile_float(const float* a, int stride, const T* w, int64_t group, int depth,
                       float* out, int out_stride) {
  V16 acc[R][G];
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) acc[r][g] = splat(0.0F);
  }
  for (int k = 0; k < depth; ++k) {
    V16 weights[G];
    for (int g = 0; g < G; ++g) weights[g] = load(w + g * group + static_cast<int64_t>(k) * kLanes);
    for (int r = 0; r < R; ++r) {
      const V16 x = splat(a[static_cast<int64_t>(r) * stride + k]);
      for (int g = 0; g < G; ++g) acc[r][g] = fma(x, weights[g], acc[r][g]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) {
      store(out + static_cast<int64_t>(r) * out_stride + g * kLanes, acc[r][g]);
    }
  }
}

#if defined(SEQWAY_AMX)

constexpr int kAmxRows = 16;
constexpr int kAmxLeastRows = 4;  // below that the vector code is bound by memory, too

struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};

// Tiles 0 and 1 are sums, 2 is of inputs, 3 and 4 are of weights.
inline void shape_tiles(int rows) {
  TileShapes shapes;
  for (int tile = 0; tile < 5; ++tile) {
    shapes.bytes[tile] = 64;
    shapes.rows[tile] = static_cast<uint8_t>(tile < 3 ? rows : 16);
  }
  _tile_loadconfig(&shapes);
}

// As `tile_int8`, of one or two groups, for as many rows as the tiles are shaped for.
inline void tile_amx(const uint8_t* a, int stride, const Columns& columns, int groups, int32_t* out) {
  const int8_t* w = columns.weights;
  const int quads = columns.quads;
  const int64_t group = columns.group();
  _tile_zero(0);
  _tile_zero(1);
  for (int q = 0; q < quads; q += 16) {
    _tile_loadd(2, a + q * 4, stride);
    _tile_loadd(3, w + q * 64, 64);
    _tile_dpbusd(0, 2, 3);
    if (groups == 1) continue;
    _tile_loadd(4, w + group + q * 64, 64);
    _tile_dpbusd(1, 2, 4);
  }
  _tile_stored(0, out, groups * kLanes * 4);
  if (groups == 2) _tile_stored(1, out + kLanes, groups * kLanes * 4);
}

#endif

using TileInt8 = void (*)(const uint8_t*, int, const Columns&, int32_t*);
template <typename T>
using TileFloat = void (*)(const float*, int, const T*, int64_t, int, float*, int);

// By rows - 1, and by groups: 1, 2, 4.
#define SEQWAY_TILES(kind, R) {kind<R, 1>, kind<R, 2>, kind<R, 4>}
#if defined(SEQWAY_AVX512)
#define SEQWAY_ALL_TILES(kind)                                                                  \
  {SEQWAY_TILES(kind, 1), SEQWAY_TILES(kind, 2), SEQWAY_TILES(kind, 3), SEQWAY_TILES(kind, 4),  \
   SEQWAY_TILES(kind, 5), SEQWAY_TILES(kind, 6), SEQWAY_TILES(kind, 7), SEQWAY_TILES(kind, 8)}
#else
#define SEQWAY_ALL_TILES(kind) \
  {SEQWAY_TILES(kind, 1), SEQWAY_TILES(kind, 2), SEQWAY_TILES(kind, 3), SEQWAY_TILES(kind, 4)}
#endif
constexpr TileInt8 kInt8Tiles[kTileRows][3] = SEQWAY_ALL_TILES(tile_int8);
template <typename T>
constexpr TileFloat<T> kFloatTiles[kTileRows][3] = SEQWAY_ALL_TILES(tile_float);
#undef SEQWAY_ALL_TILES
#undef SEQWAY_TILES

constexpr double kPartMicroseconds = 2.0;  // below that a part costs more to give away than to do

// How many groups of columns the registers hold sums for, beside so many rows.
inline int groups_of_tile(int rows, int left) {
#if defined(SEQWAY_AVX512)
  const int most = rows <= 6 ? 4 : 2;
#else
  const int most = rows == 1 ? 4 : rows == 2 ? 2 : 1;
#endif
  return left >= most ? most : left >= 2 && most >= 2 ? 2 : 1;
}
inline int index_of(int groups) { return groups == 4 ? 2 : groups - 1; }

template <typename Tile>
inline void cover(int row, int end_row, int rows, int group, int end_group, Tile tile) {
  while (group < end_group) {
    const int groups = groups_of_tile(rows, end_group - group);
    for (int at = row; at < end_row; at += rows) tile(at, rows, group, groups);
    group += groups;
  }
}

// Covers a product with tiles: calls `tile(row, rows, group, groups)`. What is left of the rows by
// whole tiles has registers for more columns.
template <typename Tile>
inline void cover(int rows, int groups, Tile tile) {
  const int whole = rows / kTileRows * kTileRows;
  for (int group = 0; group < groups; group += kPartGroups) {
    const int end = groups - group < kPartGroups ? groups : group + kPartGroups;
    if (whole > 0) cover(0, whole, kTileRows, group, end, tile);
    if (whole < rows) cover(whole, rows, rows - whole, group, end, tile);
  }
}

inline Columns columns_of(const Product& p) {
  Columns columns;
  columns.weights = p.int8_weights;
  columns.sums = p.sums;
  columns.quads = p.in_bytes() / 4;
#if defined(SEQWAY_AVX2)
  columns.fits = p.pairs == nullptr ? nullptr : p.pairs->fit();
#endif
  return columns;
}

// What is asked for beside the weights of a part's group, the one at `done`: the part behind.
inline Ahead ahead_of(const Columns& columns, int done) {
  const int64_t size = columns.group(), own = done % kPartGroups;
  const int8_t* part = columns.weights + (kPartGroups - own) * size;
  // The groups before it ask for the first lines.
  return {reinterpret_cast<const char*>(part + own * size / kPartGroups), size};
}

inline V16 value_of(const Product& p, const int32_t* sums_of, int column) {
  const V16 product = difference(sums_of, p.sums + column);
  return fma(product, load(p.scales + column), load(p.bias + column));
}
inline V16 value_of(const Product& p, const float* sums_of, int column) {
  return load(sums_of) + load(p.bias + column);
}

// Takes a tile at `row` whose first column is `column`; `offset` is that of the sink's first one.
template <typename T>
inline void finish(const Product& p, const T* tile, int rows, int groups, int row, int column,
                   int offset, const Sink& sink) {
  for (int r = 0; r < rows; ++r) {
    for (int g = 0; g < groups; ++g) {
      const int at = column + g * kLanes, to = at - offset;
      const V16 x = activated(sink.activation, value_of(p, tile + (r * groups + g) * kLanes, at));
      if (sink.bytes != nullptr) {
        store_bytes(sink.bytes + static_cast<int64_t>(row + r) * sink.bytes_stride + to,
                    x * load(sink.inputs + to));
        continue;
      }
      float* place = sink.floats + static_cast<int64_t>(row + r) * sink.stride + to;
      store(place, sink.adds ? load(place) + x : x);
    }
  }
}

#if defined(SEQWAY_AMX)
inline void multiply_amx(const Product& p, const Rows& in, const Sink& sink, int base, int first,
                         int groups) {
  alignas(64) int32_t integers[kTileFloats];
  const Columns columns = columns_of(p);
  for (int row = 0; row < in.count; row += kAmxRows) {
    const int rows = in.count - row < kAmxRows ? in.count - row : kAmxRows;
    if (row == 0 || rows < kAmxRows) shape_tiles(rows);
    for (int done = 0; done < groups; done += 2) {
      const int count = groups - done < 2 ? 1 : 2, at = first + done;
      tile_amx(in.bytes + static_cast<int64_t>(row) * in.bytes_stride, in.bytes_stride,
               columns.from(at), count, integers);
      finish(p, integers, rows, count, row, at * kLanes, base * kLanes, sink);
    }
  }
  _tile_release();
}
#endif

// As `multiply_part`, of a product whose weights are not INT8.
template <typename T>
inline void multiply_floats(const Product& p, const T* weights, const Rows& in, const Sink& sink,
                            int base, int first, int groups) {
  alignas(64) float floats[kTileFloats];
  const int64_t group = static_cast<int64_t>(p.in) * kLanes;
  cover(in.count, groups, [&](int64_t row, int rows, int done, int count) {
    const int at = first + done;
    kFloatTiles<T>[rows - 1][index_of(count)](in.floats + row * in.stride, in.stride,
                                              weights + at * group, group, p.in, floats,
                                              count * kLanes);
    finish(p, floats, rows, count, row, at * kLanes, base * kLanes, sink);
  });
}

// `groups` groups of 16 columns of a product, from the one at `first` on; those of the sink begin
// at `base`.
inline void multiply_part(const Product& p, const Rows& in, const Sink& sink, int base, int first,
                          int groups) {
#if defined(SEQWAY_AMX)
  if (p.is_int8() && in.count >= kAmxLeastRows) return multiply_amx(p, in, sink, base, first, groups);
#endif
  if (!p.is_int8()) {
    with_type(p.weights, [&](const auto* weights) {
      multiply_floats(p, weights, in, sink, base, first, groups);
    });
    return;
  }
  alignas(64) int32_t integers[kTileFloats];
  const Columns columns = columns_of(p);
  const bool asks = p.is_far && in.count <= kMostAskingRows;
  cover(in.count, groups, [&](int64_t row, int rows, int done, int count) {
    const int at = first + done;
    Columns some = columns.from(at);
    if (asks && row == 0) some.ahead = ahead_of(some, done);
    kInt8Tiles[rows - 1][index_of(count)](in.bytes + row * in.bytes_stride, in.bytes_stride, some,
                                          integers);
    finish(p, integers, rows, count, row, at * kLanes, base * kLanes, sink);
  });
}

// What a core takes for a product: to read its weights, and to compute.
inline double microseconds_of(const Product& p, int rows, int groups) {
  const double weights = static_cast<double>(groups) * kLanes * p.in;
  return weights * (p.bytes_of_weight() / 25e3 + rows / (p.is_int8() ? 200e3 : 70e3));
}

// Into how many parts it is worth to divide work that can be divided into so many at most.
inline int parts_of(double microseconds, int most, int threads) {
  const int worth = static_cast<int>(microseconds / kPartMicroseconds);
  const int some = most < 3 * threads ? most : 3 * threads;
  return threads == 1 || some < 2 ? 1 : worth < some ? worth : some;
}

// Calls `work(first, count)` for all of `count` things, which take so many microseconds together;
// with help, for as many of them at a time as make a part, a multiple of `step`.
template <typename Work>
inline void divide(int count, int step, double microseconds, Work work) {
  Team* team = current_team;
  const int parts = parts_of(microseconds, count / step, team == nullptr ? 1 : team->size());
  if (parts < 2) return work(0, count);
  const int size = static_cast<int>(padded((count + parts - 1) / parts, step));
  const int shares = (count + size - 1) / size;
  team->share(shares, microseconds / shares, [&](int part) {
    const int first = part * size, left = count - first;
    work(first, left < size ? left : size);
  });
}

// `groups` groups of 16 columns of a product, from the one at `first` on.
inline void multiply(const Product& p, const Rows& in, const Sink& sink, int first, int groups) {
  divide(groups, kPartGroups, microseconds_of(p, in.count, groups), [&](int from, int count) {
    multiply_part(p, in, sink, first, first + from, count);
  });
}

inline void multiply(const Product& p, const Rows& in, const Sink& sink) {
  multiply(p, in, sink, 0, p.out / kLanes);
}

// y [rows][groups * 16] = x [rows][depth] times a packed matrix [groups][depth][16], no bias.
template <typename T>
inline void multiply_packed(const float* x, int stride, int rows, const T* w, int groups,
                            int64_t group, int depth, float* y, int y_stride) {
  cover(rows, groups, [&](int64_t row, int some, int done, int count) {
    kFloatTiles<T>[some - 1][index_of(count)](x + row * stride, stride, w + done * group, group,
                                              depth, y + row * y_stride + done * kLanes, y_stride);
  });
}
