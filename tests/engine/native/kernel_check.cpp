// Compares the products of every instruction set that runs here with a plain reference, over odd
// shapes. Prints a checksum of all results, which is the same on every processor; gives 1, and says
// where, if a result differs.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "../../../engine/native/src/api.h"

namespace {

constexpr int kActivations = 6;  // in the order of Activation in model.h

int padded(int size, int step) { return (size + step - 1) / step * step; }

// The same numbers everywhere.
class Random {
 public:
  uint32_t bits() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<uint32_t>(state_ >> 33);
  }
  int between(int low, int high) {
    return low + static_cast<int>(bits() % static_cast<uint32_t>(high - low + 1));
  }
  float real(float most) { return most * static_cast<float>(between(-4096, 4096)) / 4096.0F; }

 private:
  uint64_t state_ = 1;
};

// Zeros, aligned as tensors have to be.
template <typename T>
class Array {
 public:
  explicit Array(int size) : storage_(size * sizeof(T) + 64), size_(size) {
    const auto address = reinterpret_cast<uintptr_t>(storage_.data());
    data_ = reinterpret_cast<T*>((address + 63) / 64 * 64);
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  T& operator[](int i) { return data_[i]; }
  T* data() { return data_; }
  SeqwayTensor named(const char* name) const {
    return {name, data_, static_cast<int64_t>(size_ * sizeof(T))};
  }

 private:
  std::vector<unsigned char> storage_;
  size_t size_;
  T* data_;
};

struct Shape {
  int rows, in, out;
};

uint64_t checksum = 14695981039346656037ULL;  // FNV-1a

void add_to_checksum(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  for (int i = 0; i < 4; ++i) checksum = (checksum ^ (bits >> (8 * i) & 255U)) * 1099511628211ULL;
}

double activated(int activation, double x) {
  switch (activation) {
    case 1:
      return x > 0 ? x : 0;
    case 2:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case 3:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case 4:
      return x / (1 + std::exp(-x));
    case 5:
      return std::tanh(x);
    default:
      return x;
  }
}

// Without an activation and with ReLU results are equal to the reference, else near it.
bool agrees(int activation, float got, float sum) {
  const double wanted = activated(activation, sum);
  if (activation < 2) return static_cast<double>(got) == wanted;
  return std::fabs(got - wanted) <= 2e-6 * (1 + std::fabs(sum));
}

// Multiplies by each instruction set, and compares with `sums` [rows][columns].
int differences(const Shape& shape, const std::vector<SeqwayTensor>& tensors, Array<float>& x,
                const std::vector<float>& sums, const char* kind) {
  const int columns = padded(shape.out, 16);
  const int size = shape.rows * columns;
  int found = 0;
  for (int activation = 0; activation < kActivations; ++activation) {
    std::vector<float> first;
    std::istringstream names(seqway_backends());
    for (std::string name; std::getline(names, name, ',');) {
      Array<float> y(size);
      if (seqway_multiply(name.c_str(), tensors.data(), static_cast<int>(tensors.size()), shape.in,
                          columns, x.data(), shape.rows, activation, y.data()) != 0) {
        std::fprintf(stderr, "%s\n", seqway_error());
        return 1;
      }
      if (first.empty()) first.assign(y.data(), y.data() + size);
      const bool same = std::memcmp(first.data(), y.data(), size * sizeof(float)) == 0;
      int wrong = 0;
      for (int i = 0; i < size; ++i) wrong += agrees(activation, y[i], sums[i]) ? 0 : 1;
      if (same && wrong == 0) continue;
      ++found;
      std::fprintf(stderr, "%s, %s, %d rows, %d by %d, activation %d: %d of %d wrong%s\n", name.c_str(),
                   kind, shape.rows, shape.in, shape.out, activation, wrong, size,
                   same ? "" : ", not the same as of the first instruction set");
    }
    for (const float value : first) add_to_checksum(value);
  }
  return found;
}

int check_int8(const Shape& shape, int largest, Random& random) {
  const int columns = padded(shape.out, 16), depth = padded(shape.in, 64);
  const int stride = padded(shape.in, 16);
  Array<int8_t> weights(columns * depth);
  Array<int32_t> column_sums(columns);
  Array<float> scales(columns), bias(columns), inputs(depth), x(shape.rows * stride);
  std::vector<int> plain(static_cast<size_t>(shape.in) * columns);
  for (int k = 0; k < shape.in; ++k) {
    inputs[k] = 20.0F + random.real(10.0F);
    for (int c = 0; c < shape.out; ++c) {
      const int weight = random.between(-largest, largest);
      plain[k * columns + c] = weight;
      column_sums[c] += 128 * weight;
      weights[((c / 16 * (depth / 4) + k / 4) * 16 + c % 16) * 4 + k % 4] = static_cast<int8_t>(weight);
    }
  }
  for (int c = 0; c < shape.out; ++c) {
    scales[c] = 1e-4F + std::fabs(random.real(1e-3F));
    bias[c] = random.real(1.0F);
  }
  std::vector<float> sums(static_cast<size_t>(shape.rows) * columns);
  for (int r = 0; r < shape.rows; ++r) {
    std::vector<int> total(columns);
    for (int k = 0; k < shape.in; ++k) {
      const float value = x[r * stride + k] = random.real(7.0F);
      const float whole = std::nearbyintf(value * inputs[k]);
      const int rounded = static_cast<int>(whole > 127 ? 127 : whole < -127 ? -127 : whole);
      for (int c = 0; c < columns; ++c) total[c] += rounded * plain[k * columns + c];
    }
    for (int c = 0; c < columns; ++c) {
      sums[r * columns + c] = std::fmaf(static_cast<float>(total[c]), scales[c], bias[c]);
    }
  }
  return differences(shape,
                     {weights.named("product.int8"), column_sums.named("product.sums"),
                      scales.named("product.scales"), bias.named("product.bias"),
                      inputs.named("product.inputs")},
                     x, sums, "INT8");
}

// Weights of a type: their tensor's name, how they are stored, and what is meant by that.
struct Float {
  static constexpr const char* kind = "FP32";
  static constexpr const char* tensor = "product.float";
  using Stored = float;
  static Stored random(Random& random) { return random.real(0.3F); }
  static float value(Stored stored) { return stored; }
};

// Of either sign and below 2, with subnormal ones among them.
struct Half {
  static constexpr const char* kind = "FP16";
  static constexpr const char* tensor = "product.half";
  using Stored = uint16_t;
  static Stored random(Random& random) { return static_cast<Stored>(random.bits() & 0xBFFFU); }
  static float value(Stored stored) {
    const int exponent = stored >> 10 & 31, digits = stored & 1023;
    const float size = exponent == 0 ? std::ldexp(static_cast<float>(digits), -24)
                                     : std::ldexp(static_cast<float>(1024 + digits), exponent - 25);
    return (stored & 0x8000U) != 0 ? -size : size;
  }
};

// Of either sign, from 2^-15 to 2.
struct Brain {
  static constexpr const char* kind = "BF16";
  static constexpr const char* tensor = "product.brain";
  using Stored = uint16_t;
  static Stored random(Random& random) {
    return static_cast<Stored>((random.bits() & 0xBFFFU) | 0x3800U);
  }
  static float value(Stored stored) {
    const uint32_t bits = static_cast<uint32_t>(stored) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
};

template <typename Type>
int check_floats(const Shape& shape, Random& random) {
  const int columns = padded(shape.out, 16), stride = padded(shape.in, 16);
  Array<typename Type::Stored> weights(columns * shape.in);
  Array<float> bias(columns), x(shape.rows * stride);
  for (int c = 0; c < shape.out; ++c) {
    bias[c] = random.real(1.0F);
    for (int k = 0; k < shape.in; ++k) {
      weights[(c / 16 * shape.in + k) * 16 + c % 16] = Type::random(random);
    }
  }
  std::vector<float> sums(static_cast<size_t>(shape.rows) * columns);
  for (int r = 0; r < shape.rows; ++r) {
    for (int k = 0; k < shape.in; ++k) x[r * stride + k] = random.real(2.0F);
    for (int c = 0; c < columns; ++c) {
      float total = 0.0F;
      for (int k = 0; k < shape.in; ++k) {
        const float weight = Type::value(weights[(c / 16 * shape.in + k) * 16 + c % 16]);
        total = std::fmaf(x[r * stride + k], weight, total);
      }
      sums[r * columns + c] = total + bias[c];
    }
  }
  return differences(shape, {weights.named(Type::tensor), bias.named("product.bias")}, x, sums,
                     Type::kind);
}

}  // namespace

int main() {
  Random random;
  std::vector<Shape> shapes = {{1, 1, 1}, {1, 96, 997}, {17, 250, 16}, {33, 65, 80}, {3, 512, 130}};
  for (int i = 0; i < 40; ++i) {
    shapes.push_back({random.between(1, 20), random.between(1, 150), random.between(1, 90)});
  }
  int found = 0;
  for (const Shape& shape : shapes) {
    found += check_int8(shape, 127, random);
    found += check_int8(shape, 66, random);  // pairs of these mostly fit in 16 bits (pairs.h)
    found += check_floats<Float>(shape, random);
    found += check_floats<Half>(shape, random);
    found += check_floats<Brain>(shape, random);
  }
  std::printf("%016llx\n", static_cast<unsigned long long>(checksum));
  return found == 0 ? 0 : 1;
}
