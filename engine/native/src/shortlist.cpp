#include "shortlist.h"

#include <cmath>
#include <stdexcept>

namespace seqway {
namespace {

constexpr int kBits = 64;

// Copies columns of a packed matrix, [groups][depth][16], behind one another; zeros behind the last.
template <typename T>
void gather(const void* from, int64_t depth, const std::vector<int32_t>& columns, Buffer<uint8_t>& to) {
  const int64_t places = padded(static_cast<int64_t>(columns.size()), kLanes);
  to.take(places * depth * static_cast<int64_t>(sizeof(T)));
  T* const packed = to.as<T>();
  for (int64_t place = 0; place < places; ++place) {
    T* column = packed + place / kLanes * depth * kLanes + place % kLanes;
    if (place >= static_cast<int64_t>(columns.size())) {
      for (int64_t k = 0; k < depth; ++k) column[k * kLanes] = T{};
      continue;
    }
    const int64_t id = columns[place];
    const T* whole = static_cast<const T*>(from) + id / kLanes * depth * kLanes + id % kLanes;
    for (int64_t k = 0; k < depth; ++k) column[k * kLanes] = whole[k * kLanes];
  }
}

// What a product has for each column; `otherwise` behind the last.
template <typename T>
const T* gather_values(const T* from, const std::vector<int32_t>& columns, T otherwise, Buffer<T>& to) {
  const size_t places = padded(static_cast<int64_t>(columns.size()), kLanes);
  T* const values = to.take(static_cast<int64_t>(places));
  for (size_t i = 0; i < places; ++i) values[i] = i < columns.size() ? from[columns[i]] : otherwise;
  return values;
}

}  // namespace

void narrow_head(const Model& model, const int32_t* source, std::vector<uint64_t>& marks, Text& text) {
  const Shortlist& lists = model.shortlist;
  const auto mark = [&](int list) {
    for (int i = list == 0 ? 0 : lists.ends[list - 1]; i < lists.ends[list]; ++i) {
      marks[lists.ids[i] / kBits] |= uint64_t{1} << (lists.ids[i] % kBits);
    }
  };
  mark(0);
  for (int i = 0; i < text.length; ++i) mark(source[i] + 1);
  for (const int id : model.suppressed) marks[id / kBits] &= ~(uint64_t{1} << (id % kBits));
  text.likely.clear();
  for (size_t word = 0; word < marks.size(); ++word) {
    for (uint64_t left = marks[word]; left != 0; left &= left - 1) {
      text.likely.push_back(static_cast<int32_t>(word) * kBits + __builtin_ctzll(left));
    }
    marks[word] = 0;
  }
  if (text.likely.empty()) throw std::runtime_error("the shortlist leaves an answer no token");
  const Product& whole = model.decoder.last;
  Product& head = text.head;
  head = whole;
  head.pairs = nullptr;  // it would take longer to look than it would save
  head.out = static_cast<int>(padded(static_cast<int64_t>(text.likely.size()), kLanes));
  head.bias = gather_values(whole.bias, text.likely, -INFINITY, text.head_bias);
  if (whole.is_int8()) {
    gather<int32_t>(whole.int8_weights, whole.in_bytes() / 4, text.likely, text.head_weights);
    head.int8_weights = text.head_weights.as<int8_t>();
    head.scales = gather_values(whole.scales, text.likely, 0.0F, text.head_scales);
    head.sums = gather_values(whole.sums, text.likely, 0, text.head_sums);
  } else if (whole.weights.floats != nullptr) {
    gather<float>(whole.weights.floats, whole.in, text.likely, text.head_weights);
    head.weights.floats = text.head_weights.as<float>();
  } else {
    const bool halves = whole.weights.halves != nullptr;
    const void* from = halves ? static_cast<const void*>(whole.weights.halves) : whole.weights.brains;
    gather<uint16_t>(from, whole.in, text.likely, text.head_weights);
    if (halves) head.weights.halves = text.head_weights.as<Half>();
    else head.weights.brains = text.head_weights.as<Brain>();
  }
}

}  // namespace seqway
