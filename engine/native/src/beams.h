// How the beams of texts go on after a step.
#pragma once

#include "api.h"

namespace seqway {

constexpr int kMostBeams = 16;

// Fills what `beams` has room for; slots, and what is of them, must exist.
void join_beams(SeqwayBeams& beams);

}  // namespace seqway
