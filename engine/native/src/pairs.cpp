#include "pairs.h"

#include <utility>

namespace seqway {
namespace {

constexpr int kBlock = 64;
constexpr int kMost = 128;
constexpr int kMostUnfit = 16;  // one block of so many: a branch that is mispredicted is expensive

bool all_fit(const int8_t* weights) {
  int beyond = 0;
  for (int i = 0; i < kBlock; i += 2) {
    // Of different signs they are bounded each.
    const int sum = weights[i] + weights[i + 1];
    beyond |= static_cast<int>(sum > kMost) | static_cast<int>(sum < -kMost);
  }
  return beyond == 0;
}

}  // namespace

const uint8_t* Pairs::fit() {
  std::call_once(once_, &Pairs::look, this);
  return fit_.empty() ? nullptr : fit_.data();
}

void Pairs::look() {
  std::vector<uint8_t> fit(count_ / kBlock);
  size_t fitting = 0;
  for (size_t block = 0; block < fit.size(); ++block) {
    fit[block] = all_fit(weights_ + static_cast<int64_t>(block) * kBlock) ? 1 : 0;
    fitting += fit[block];
  }
  if ((fit.size() - fitting) * kMostUnfit <= fit.size()) fit_ = std::move(fit);
}

}  // namespace seqway
