// Which pairs of INT8 weights AVX2 may multiply and add in 16 bits.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

namespace seqway {

// An unsigned byte is at most 255, so that the sum of two products is at most 255 * 128 = 32,640
// where the weights of one sign add up to 128 at most, and saturates nothing. How many pairs fit
// hangs on how far the largest weight is from the others: nearly all of a model whose matrices have
// one scale each. Found when first asked for: other instruction sets never ask.
class Pairs {
 public:
  Pairs(const int8_t* weights, int64_t count) : weights_(weights), count_(count) {}
  Pairs(const Pairs&) = delete;
  Pairs& operator=(const Pairs&) = delete;

  // For each 64 weights, as they lie in memory, 1 where all their pairs fit, else 0; null where so
  // few fit that it does not pay to tell them apart.
  const uint8_t* fit();

 private:
  void look();

  const int8_t* weights_;
  int64_t count_;
  std::once_flag once_;
  std::vector<uint8_t> fit_;
};

}  // namespace seqway
