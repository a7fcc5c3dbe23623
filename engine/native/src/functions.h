// Activations, norms and softmax over vectors of floats. Included once for each instruction set.

// e^x of x from -87 to 88.  Polynomial of Cephes' expf.
inline V16 bounded_exponential(V16 x) {
  const V16 n = rounded(x * splat(1.44269504088896341F));
  V16 r = fma(n, splat(-0.693359375F), x);
  r = fma(n, splat(2.12194440e-4F), r);
  V16 y = splat(1.9875691500e-4F);
  y = fma(y, r, splat(1.3981999507e-3F));
  y = fma(y, r, splat(8.3334519073e-3F));
  y = fma(y, r, splat(4.1665795894e-2F));
  y = fma(y, r, splat(1.6666665459e-1F));
  y = fma(y, r, splat(5.0000001201e-1F));
  y = fma(y, r * r, r) + splat(1.0F);
  return scaled(y, n);
}
// e^x; about 1e-38 below -87.
inline V16 exponential(V16 x) {
  return bounded_exponential(smaller(splat(88.0F), larger(splat(-87.0F), x)));
}
// Likewise, of x that are not above 0.
inline V16 fraction(V16 x) { return bounded_exponential(larger(splat(-87.0F), x)); }

// The error function: x + x P(x^2) near 0, 1 - e^Q(|x|) beyond, with the coefficients of N. Juffa's
// erff (stackoverflow.com/q/35148198), whose error is below 1 ulp.
inline V16 error_function(V16 x) {
  const V16 size = absolute(x), square = x * x;
  V16 far = splat(-1.72853470e-5F);
  far = fma(far, size, splat(3.83197126e-4F));
  V16 tail = splat(-3.88396438e-3F);
  tail = fma(tail, size, splat(2.42546219e-2F));
  far = fma(far, square, tail);
  far = fma(far, size, splat(-1.06777877e-1F));
  far = fma(far, size, splat(-6.34846687e-1F));
  far = fma(far, size, splat(-1.28717512e-1F));
  far = fma(far, size, splat(0.0F) - size);
  far = splat(1.0F) - exponential(far);
  far = where_less(x, splat(0.0F), splat(0.0F) - far, far);
  V16 near = splat(-5.96761703e-4F);
  near = fma(near, square, splat(4.99119423e-3F));
  near = fma(near, square, splat(-2.67681349e-2F));
  near = fma(near, square, splat(1.12819925e-1F));
  near = fma(near, square, splat(-3.76125336e-1F));
  near = fma(near, square, splat(1.28379166e-1F));
  near = fma(near, x, x);
  return where_less(size, splat(0.927734375F), near, far);
}

inline V16 hyperbolic_tangent(V16 x) {
  const V16 e = exponential(x + x);
  return splat(1.0F) - splat(2.0F) / (e + splat(1.0F));
}

inline V16 logistic(V16 x) { return splat(1.0F) / (splat(1.0F) + exponential(splat(0.0F) - x)); }

inline V16 activated(Activation kind, V16 x) {
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return larger(x, splat(0.0F));
    case Activation::gelu:
      return splat(0.5F) * x * (splat(1.0F) + error_function(x * splat(0.70710678118654752F)));
    case Activation::gelu_tanh: {
      const V16 inner = splat(0.79788456080286536F) * fma(splat(0.044715F), x * x * x, x);
      return splat(0.5F) * x * (splat(1.0F) + hyperbolic_tangent(inner));
    }
    case Activation::silu:
      return x / (splat(1.0F) + exponential(splat(0.0F) - x));
    case Activation::tanh:
      return hyperbolic_tangent(x);
  }
  return x;
}

// The first `count` of x, and `rest` behind them.
inline V16 first_of(V16 x, int count, float rest) {
  alignas(64) static constexpr float places[kLanes] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                       8, 9, 10, 11, 12, 13, 14, 15};
  return where_less(load(places), splat(static_cast<float>(count)), x, splat(rest));
}

// Makes probabilities of `scores` [padded(count)]; the padding gets zeros.
inline void softmax(float* scores, int count) {
  const int end = static_cast<int>(padded(count, kLanes)), last = end - kLanes;
  store(scores + last, first_of(load(scores + last), count - last, -INFINITY));
  V16 most = load(scores);
  for (int i = kLanes; i < end; i += kLanes) most = larger(load(scores + i), most);
  const V16 best = splat(largest(most));
  V16 total = splat(0.0F);
  for (int i = 0; i < end; i += kLanes) {
    const V16 e = fraction(load(scores + i) - best);
    store(scores + i, e);
    total = total + e;
  }
  const V16 share = splat(1.0F / sum(total));
  for (int i = 0; i < last; i += kLanes) store(scores + i, load(scores + i) * share);
  store(scores + last, first_of(load(scores + last) * share, count - last, 0.0F));
}

inline void round_row(const float* x, const Product& next, int width, uint8_t* bytes) {
  int i = 0;
  for (; i < width; i += kLanes) store_bytes(bytes + i, load(x + i) * load(next.inputs + i));
  for (; i < next.in_bytes(); i += kLanes) std::memset(bytes + i, 128, kLanes);
}

// What `next` reads of `x` [count][stride]: itself, or its bytes in `bytes`.
inline Rows as_input(const float* x, int count, int stride, const Product& next,
                     Buffer<uint8_t>& bytes) {
  if (!next.is_int8()) return {count, x, stride, nullptr, 0};
  const int size = next.in_bytes();
  uint8_t* to = bytes.take(static_cast<int64_t>(count) * size);
  for (int row = 0; row < count; ++row) {
    round_row(x + static_cast<int64_t>(row) * stride, next, stride, to + static_cast<int64_t>(row) * size);
  }
  return {count, nullptr, 0, to, size};
}

// LayerNorm or RMSNorm of one row, whose padding stays zero.
inline void norm_row(const Model& model, const Norm& norm, const float* x, float* y) {
  const int width = norm.width, stride = static_cast<int>(padded(width, kLanes));
  const float share = 1.0F / static_cast<float>(width);
  V16 total = splat(0.0F);
  float mean = 0.0F;
  if (!model.rms) {
    for (int i = 0; i < stride; i += kLanes) total = total + load(x + i);
    mean = sum(total) * share;
  }
  const V16 centre = splat(mean);
  total = splat(0.0F);
  int i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    const V16 d = load(x + i) - centre;
    total = fma(d, d, total);
  }
  if (i < width) {
    alignas(64) float rest[kLanes] = {};
    for (int j = i; j < width; ++j) rest[j - i] = x[j] - mean;
    const V16 d = load(rest);
    total = fma(d, d, total);
  }
  const V16 scale = splat(1.0F / std::sqrt(sum(total) * share + model.epsilon));
  for (i = 0; i < stride; i += kLanes) {
    V16 value = (load(x + i) - centre) * scale * load(norm.weight + i);
    if (norm.bias != nullptr) value = value + load(norm.bias + i);
    store(y + i, value);
  }
}

// The norm of sources' tokens `x` [tokens][stride] and, behind them, of the sums of each source's blocks
// of normed tokens, as the sub-layer's entry reads them. Tokens are added one by one.
inline Rows normed_with_sums(const Model& model, Lane& lane, const Sublayer& sublayer, const float* x,
                             const int32_t* lengths, int count, int tokens) {
  const int64_t stride = model.stride;
  int rows = tokens;
  for (int i = 0; i < count; ++i) rows += model.sums_of(lengths[i]);
  float* normed = lane.normed.take(rows * stride);
  float* sum = normed + tokens * stride;
  std::fill(sum, normed + rows * stride, 0.0F);
  float* row = normed;
  for (int i = 0; i < count; ++i) {
    const int sums = model.sums_of(lengths[i]);
    for (int p = 0; p < lengths[i]; ++p, x += stride, row += stride) {
      norm_row(model, sublayer.norm, x, row);
      if (sums == 0) continue;
      float* to = sum + std::min(p / model.global_block, sums - 1) * stride;
      for (int k = 0; k < stride; k += kLanes) store(to + k, load(to + k) + load(row + k));
    }
    for (int s = 0; s < sums; ++s, sum += stride) norm_row(model, sublayer.global_norm, sum, sum);
  }
  return as_input(normed, rows, model.stride, sublayer.entry, lane.bytes);
}

// The norm of `x` [count][stride], as `next` reads it; in place if the rows go on as their norm.
inline Rows normed(const Model& model, Lane& lane, const Norm& norm, float* x, int count,
                   bool in_place, const Product& next) {
  const int stride = model.stride, size = next.in_bytes();
  const bool keeps = !in_place && !next.is_int8();
  float* floats = in_place ? x : lane.normed.take(keeps ? static_cast<int64_t>(count) * stride : stride);
  uint8_t* bytes = next.is_int8() ? lane.bytes.take(static_cast<int64_t>(count) * size) : nullptr;
  for (int64_t row = 0; row < count; ++row) {
    float* to = in_place || keeps ? floats + row * stride : floats;
    norm_row(model, norm, x + row * stride, to);
    if (bytes != nullptr) round_row(to, next, stride, bytes + row * size);
  }
  if (bytes != nullptr) return {count, nullptr, 0, bytes, size};
  return {count, floats, stride, nullptr, 0};
}
