// Which tokens an answer may hold: those that are likely by the tokens of its source.
#pragma once

#include <cstdint>
#include <vector>

#include "model.h"

namespace seqway {

// Gives a text the tokens that are likely for its source, and the head's columns of these alone.
// `marks` has a bit for each token, all 0; so it is left.
void narrow_head(const Model& model, const int32_t* source, std::vector<uint64_t>& marks, Text& text);

}  // namespace seqway
